"""Prometheus' text form: families of samples, written as upstream's endpoints write them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from steersman.machinery.counting import Histogram

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
        self._sample(name, name, value, labels or {}, at_ms)

    def _sample(self, family: str, name: str, value: float | str, labels: Mapping[str, str], at_ms: int | None) -> None:
        told = ",".join(f'{key}="{_escaped(text)}"' for key, text in sorted(labels.items()))
        number = value if isinstance(value, str) else _number(value)
        moment = f" {at_ms}" if at_ms is not None else ""
        self._lines.setdefault(family, []).append(f"{name}{{{told}}} {number}{moment}" if told else f"{name} {number}{moment}")

    def add_histogram(self, name: str, histogram: Histogram, labels: Mapping[str, str]) -> None:
        for bound, count in histogram.cumulated():
            self._sample(name, f"{name}_bucket", count, {**labels, "le": bound}, None)
        self._sample(name, f"{name}_sum", histogram.sum, labels, None)
        self._sample(name, f"{name}_count", histogram.count, labels, None)

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
