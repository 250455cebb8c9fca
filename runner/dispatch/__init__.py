"""Leases, claims, publishing and the backends that run workers. The home of Ray."""
