"""What changed between two values, for messages of updates that are forbidden as a whole (upstream prints such a diff there)."""

from __future__ import annotations

from typing import Any

from steersman.machinery.fielderrors import render_value

_LIMIT_LINES = 60


def difference(old: Any, new: Any) -> str:
    """Lines `-path: old` and `+path: new` of everything that differs."""
    lines: list[str] = []
    _compare(lines, "", old, new)
    return "\n".join(lines[:_LIMIT_LINES])


def _compare(lines: list[str], path: str, old: Any, new: Any) -> None:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            _compare(lines, f"{path}.{key}" if path else key, old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new)):
            _compare(lines, f"{path}[{index}]", before, after)
    else:
        for sign, value in (("-", old), ("+", new)):
            if value is not None:
                lines.append(f"{sign}{path}: {render_value(value)}")
