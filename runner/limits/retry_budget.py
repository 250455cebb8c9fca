"""How many requests may be retries. Pure.

A leaky bucket as in Twitter Finagle's `RetryBudget`: each first attempt adds a share of a retry,
and a small steady rate is free so that a quiet worker can retry at all. It bounds the rate of
retries, never their number: a job whose retry finds no budget goes back to the end of the queue.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class RetryBudget:
    """Retries in hand, at most `capacity`."""

    at: float
    share: float = 0.2
    """Retries per first attempt."""
    reserve_per_s: float = 1.0
    capacity: float = 100.0
    balance: float = 10.0

    def first_attempt(self, now: float) -> None:
        """A request that is no retry went out."""
        self._advance(now)
        self.balance = min(self.capacity, self.balance + self.share)

    def take(self, now: float) -> bool:
        """Take a retry; False where there is none."""
        self._advance(now)
        if self.balance < 1.0 - 1e-9:
            return False
        self.balance -= 1.0
        return True

    def give_back(self) -> None:
        """A retry that was taken did not go out."""
        self.balance = min(self.capacity, self.balance + 1.0)

    def _advance(self, now: float) -> None:
        passed = max(0.0, now - self.at)
        self.at += passed
        self.balance = min(self.capacity, self.balance + passed * self.reserve_per_s)
