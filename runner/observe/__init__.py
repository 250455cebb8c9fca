"""Events, progress and logs."""
