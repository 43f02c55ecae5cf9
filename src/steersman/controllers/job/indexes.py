"""Completion indexes as text: `1,3-5,7`, ascending, runs of three and more drawn together, of two with a comma (KEP-2214)."""

from __future__ import annotations

from collections.abc import Collection


def parse(text: str, completions: int) -> set[int]:
    """Indexes at or beyond completions are left out: an elastic job may have shrunk. Text that makes no sense ends the list."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            break
        found.update(range(int(first), min(int(last or first) + 1, completions)))
    return found


def render(indexes: Collection[int]) -> str:
    parts: list[str] = []
    ordered = sorted(indexes)
    start = 0
    for place, index in enumerate(ordered):
        if place + 1 < len(ordered) and ordered[place + 1] == index + 1:
            continue
        first = ordered[start]
        parts.append(str(first) if first == index else f"{first},{index}" if index == first + 1 else f"{first}-{index}")
        start = place + 1
    return ",".join(parts)
