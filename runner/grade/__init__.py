"""Graders: verdict tables computed from recorded rows, which never change."""
