"""Other formats made from recorded rows."""
