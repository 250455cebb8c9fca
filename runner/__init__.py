"""Scenario × seed × model sweeps over model APIs, recorded as Parquet that graders read live."""
