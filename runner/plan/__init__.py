"""Cells, seeds and what is owed: pure arithmetic over flat bitmaps."""
