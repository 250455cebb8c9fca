"""Scenario definitions, rendering, rollouts, the linter."""
