"""How counts, durations, rates and tokens read on a screen. Pure; one wording everywhere."""

from __future__ import annotations

_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def count(number: int) -> str:
    """Return `93,600`."""
    return f"{number:,}"


def many(number: int, word: str) -> str:
    """Return `1 model` or `93,600 models`."""
    return f"{count(number)} {word}{'' if number == 1 else 's'}"


def short(number: float) -> str:
    """Return a number in at most five characters: `950`, `12.3k`, `1.20M`."""
    for size, unit in _UNITS:
        if abs(number) >= size * 0.9995:
            scaled = number / size
            digits = 2 if scaled < 10 else 1 if scaled < 100 else 0
            return f"{scaled:.{digits}f}{unit}"
    return f"{number:.0f}"


def money(usd: float) -> str:
    """Return dollars without the sign: `1,181`, `12.40`, `0.0031`; only nothing is `0.00`."""
    if abs(usd) >= 1000:
        return f"{usd:,.0f}"
    if usd and abs(usd) < 0.995:
        return f"{usd:.2g}" if abs(usd) >= 1e-4 else f"{usd:.1e}"
    return f"{usd:.2f}"


def duration(seconds: float) -> str:
    """Return `4 s`, `12 m 05 s`, `3 h 02 m` or `2 d 04 h`."""
    whole = max(0, round(seconds))
    minutes, secs = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours:02d} h"
    if hours:
        return f"{hours} h {minutes:02d} m"
    return f"{minutes} m {secs:02d} s" if minutes else f"{secs} s"


def per_second(rate: float) -> str:
    """Return `31.2 jobs/s`, or `3.4 jobs/min` where a second is too short to say anything."""
    if rate >= 1 or rate == 0:
        return f"{rate:.1f} jobs/s"
    return f"{rate * 60:.1f} jobs/min"


def percent(share: float) -> str:
    """Return `6.8 %`; a small rate keeps two significant digits, 0 and 1 are exact."""
    value = share * 100
    if value in (0.0, 100.0):
        return f"{value:.0f} %"
    if value < 1:
        return f"{value:.2g} %"
    return f"{value:.2f} %" if value > 99 else f"{value:.1f} %"


def bare(share: float) -> str:
    """Return `4.9` for a share of 0.049."""
    return percent(share).removesuffix(" %")


def span(low: float, high: float) -> str:
    """Return `0 … 12.5 %`."""
    return f"{bare(low)} … {percent(high)}"
