"""Sets of CPUs as Linux writes them: `0-3,8`. Pure."""

from __future__ import annotations

from collections.abc import Iterable

CPUs = frozenset[int]


def parse(text: str) -> CPUs:
    """Raises ValueError."""
    found: set[int] = set()
    for part in text.strip().split(",") if text.strip() else ():
        first, dash, last = (each.strip() for each in part.partition("-"))
        begin, end = int(first), int(last if dash else first)
        if begin > end or begin < 0:
            raise ValueError(f"invalid range {part!r} ({begin} > {end})")
        found.update(range(begin, end + 1))
    return frozenset(found)


def show(cpus: Iterable[int]) -> str:
    ranges: list[tuple[int, int]] = []
    for cpu in sorted(cpus):
        if ranges and ranges[-1][1] == cpu - 1:
            ranges[-1] = (ranges[-1][0], cpu)
        else:
            ranges.append((cpu, cpu))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
