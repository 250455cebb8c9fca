"""What `runner simulate` prints: what it is, what happens, what has happened. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from runner.observe.amounts import count, duration, percent, short
from runner.simulate.config import GroupConfig, PersonaConfig, SimulateConfig


def greeting(config: SimulateConfig, url: str, stats: str) -> list[str]:
    """Return what is said at the start: settings in words, and how to use it."""
    lines = [
        "Simulated model API until Ctrl-C. Every answer carries x-runner-simulated and is labelled.",
        f"  persona   {config.persona}: {_rates(config.personas[config.persona])}",
    ]
    for model, own in config.models.items():
        if own.persona is not None:
            lines.append(
                f"            {model}: {own.persona}: {_rates(config.personas[own.persona])}"
            )
    shared = "for each key and model" if not config.groups else "of models outside groups"
    lines.append(f"  quota     {_quota(config.quota)}, {shared}")
    lines += [f"            group {name}: {_quota(g)}" for name, g in config.groups.items()]
    pace = (
        f"then {config.latency.tokens_per_s:g} tokens/s"
        if config.latency.tokens_per_s
        else "all at once"
    )
    lines.append(
        f"  answers   about {config.output.mean_tokens:g} tokens; "
        f"{config.latency.first_token_s:g} s to the first, {pace}"
    )
    if config.faults or config.storms:
        faults = [f"{name} {percent(share)}" for name, share in config.faults.items()]
        faults += [f"529 from {s.after_s:g} s for {s.for_s:g} s" for s in config.storms]
        lines.append(f"  faults    {', '.join(faults)}")
    return [
        *lines,
        f"  counts    {url}{stats}",
        "In a configuration (any key and any model id will do):",
        "models:",
        f'  - {{name: simulated, provider: anthropic, model: any-id, base_url: "{url}", max_tokens: 1000}}',
        f'  - {{name: simulated-chat, provider: openai, model: any-id, base_url: "{url}/v1", max_tokens: 1000}}',
    ]


def hello_line(url: str, *, as_shipped: bool) -> str:
    """Return the one command that shows a sweep on it, from the folder of the checkout."""
    run = "ANTHROPIC_API_KEY=any SOME_KEY=any runner sweep configs/hello.yaml"
    if as_shipped:
        return f"Or at once:  {run}"
    return f"Or at once:  {run} models.m1.base_url={url} models.m2.base_url={url}/v1"


def _rates(persona: PersonaConfig) -> str:
    left = 1 - sum(persona.outcomes.values())
    rates = {**persona.outcomes, **({"ordinary": left} if left > 1e-9 else {})}
    shown = ", ".join(f"{name} {percent(round(share, 6))}" for name, share in rates.items())
    return f"{shown} (other rates for some prompts)" if persona.cases else shown


def _quota(group: GroupConfig) -> str:
    limits = (("requests", group.rpm), ("input", group.itpm), ("output", group.otpm))
    told = " · ".join(f"{short(v)} {name}" for name, v in limits if v is not None)
    more = ""
    if group.foreign is not None:
        more += f", {percent(group.foreign.share)} of it used by others"
    if group.ramp is not None:
        more += f", ramp from {percent(group.ramp.floor)}"
    if group.steps:
        more += ", " + ", ".join(f"× {s.factor:g} after {s.after_s:g} s" for s in group.steps)
    return f"{told or 'nothing'} a minute, buckets of {group.burst_s:g} s{more}" if told else "none"


@dataclass(slots=True)
class Traffic:
    """What has been told of the counts so far."""

    answered: int = 0
    at: float = 0.0
    others: Counter[str] = field(default_factory=Counter[str])

    def line(
        self, statuses: Mapping[str, int], refused: Mapping[str, int], running: int, now: float
    ) -> str | None:
        """Return what happened since the last line, None where nothing did.

        Args:
            statuses: counts since the start.
            refused: of the 429s, by limit.
            running: calls being answered.
            now: seconds since the start.
        """
        answered = statuses.get("200", 0)
        others = Counter({n: c for n, c in statuses.items() if n != "200"})
        new, since = others - self.others, max(now - self.at, 1e-9)
        done = answered - self.answered
        self.answered, self.at, self.others = answered, now, others
        if not done and not new and not running:
            return None
        parts = [f"{count(done)} answered ({done / since:.1f}/s)", f"{count(running)} running"]
        parts += [f"{count(n)} × {name}" for name, n in new.most_common()]
        if new.get("429") and refused:
            parts.append(f"refused since the start by {_named(refused)}")
        return f"{duration(now):>9}  {' · '.join(parts)}"


def farewell(
    statuses: Mapping[str, int],
    refused: Mapping[str, int],
    outcomes: Mapping[str, Mapping[str, int]],
    seconds: float,
) -> Iterator[str]:
    """Yield what happened over all, and the truth about every model."""
    counts = ", ".join(f"{n} × {name}" for name, n in Counter(statuses).most_common())
    yield f"Stopped. Responses: {counts or 'none'}{f' in {duration(seconds)}' if counts else ''}."
    if refused:
        yield f"429s by limit: {_named(refused)}."
    for model, found in outcomes.items():
        yield f"Truth of {model}: {_named(found)}."


def _named(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count(n)}" for name, n in Counter(counts).most_common())
