"""Prometheus' text form: families of samples, written as upstream's endpoints write them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True)
class Exposition:
    """Families in the order of their names; a family without samples is left out, unless `always`."""

    families: Mapping[str, tuple[str, str]]
    """name -> (type, help)"""
    always: bool = False
    _lines: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str, value: float | str, labels: Mapping[str, str] | None = None, at_ms: int | None = None) -> None:
        """One sample. A text is written as it is."""
        told = ",".join(f'{key}="{_escaped(text)}"' for key, text in sorted((labels or {}).items()))
        number = value if isinstance(value, str) else _number(value)
        moment = f" {at_ms}" if at_ms is not None else ""
        self._lines.setdefault(name, []).append(f"{name}{{{told}}} {number}{moment}" if told else f"{name} {number}{moment}")

    def text(self) -> str:
        out = []
        for name, (kind, words) in sorted(self.families.items()):
            lines = self._lines.get(name, [])
            if lines or self.always:
                out += [f"# HELP {name} {words}", f"# TYPE {name} {kind}", *lines]
        return "\n".join(out) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(value)
