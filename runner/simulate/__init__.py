"""A simulated model API: quotas, faults, caching and personas, over HTTP or in virtual time."""
