"""Simulated environments: pure functions from state, tool call and seed to state and result."""
