"""The worker: the attempt loop, rollouts, sealing. The home of tenacity."""
