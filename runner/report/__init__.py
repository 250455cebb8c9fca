"""Tables of rates with their denominators and intervals."""
