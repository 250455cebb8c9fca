"""What the authority knows of one worker and model: grants made, ledger seen, share funded. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.limits.quota import Cost, Ledger, PermitBlock


@dataclass(slots=True)
class Lost:
    """Permits whose reply the worker never accepted."""

    count: int
    input_tokens: float
    output_tokens: float


@dataclass(slots=True)
class Account:
    """One (worker, model)."""

    funded_to: float
    """Up to when its share of the time has been granted."""
    ledger: Ledger | None = None
    granted: int = 0
    granted_input: float = 0.0
    granted_output: float = 0.0
    want: int = 0
    wanted_at: float = 0.0
    cost: Cost = field(default_factory=lambda: Cost(input_tokens=0.0, output_tokens=0.0))
    permit_s: float = 0.0
    """Seconds of its funded time that one permit of the latest block took."""
    common_s: float = 0.0
    """Of the group's time, that a permit took by its latest heartbeat."""

    def held(self) -> int:
        """Return the permits granted and not known to be used or lapsed."""
        seen = self.ledger or Ledger()
        return self.granted - seen.used - seen.lapsed

    def grant(self, block: PermitBlock) -> None:
        """Remember a block."""
        self.granted += block.count
        self.granted_input += block.reserved_input
        self.granted_output += block.count * block.reserved.output_tokens

    def unaccepted(self, ledger: Ledger) -> Lost:
        """Return, once, what was granted and not accepted.

        Heartbeats of a worker follow each other: with this one, every earlier reply has been
        accepted or never will be.
        """
        lost = Lost(
            count=self.granted - ledger.accepted,
            input_tokens=self.granted_input - ledger.accepted_input,
            output_tokens=self.granted_output - ledger.accepted_output,
        )
        self.granted = ledger.accepted
        self.granted_input, self.granted_output = ledger.accepted_input, ledger.accepted_output
        self.funded_to -= lost.count * self.permit_s
        return lost
