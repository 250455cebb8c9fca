"""How many requests may be on the wire: pure, with time as an argument."""
