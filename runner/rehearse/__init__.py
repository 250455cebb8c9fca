"""A sweep in virtual time: the real plan, leases and quotas against a model of the server. Pure."""
