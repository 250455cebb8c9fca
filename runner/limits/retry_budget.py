"""How many requests may be retries. Pure.

A leaky bucket as in Twitter Finagle's `RetryBudget`: each first attempt adds a share of a retry,
and a steady rate is free so that a quiet worker can retry at all. It bounds the rate of retries,
never their number: a retry that finds no budget waits until there is some.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class RetryBudget:
    """Retries in hand, at most `capacity`; below zero: how many wait."""

    at: float
    share: float = 0.2
    """Retries per first attempt."""
    reserve_per_s: float = 10.0
    capacity: float = 100.0
    balance: float = 20.0

    def first_attempt(self) -> None:
        """A request that is no retry goes out."""
        self.balance = min(self.capacity, self.balance + self.share)

    def take(self, now: float) -> float:
        """Take a retry; return the seconds it has to wait, with the steady rate alone."""
        passed = max(0.0, now - self.at)
        self.at += passed
        self.balance = min(self.capacity, self.balance + passed * self.reserve_per_s) - 1.0
        return max(0.0, -self.balance / self.reserve_per_s)
