"""Wires to model APIs, and the one table that classifies their failures."""
