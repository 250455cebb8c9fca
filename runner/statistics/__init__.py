"""Estimates, intervals, tests and power. Pure: counts in, values out, no draw and no clock."""
