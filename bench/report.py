"""Collects figures and prints them as one table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement. `baseline`: the same work done bare, in the same run. `upstream`, `goal`: from the design, as text."""

    what: str
    value: float
    unit: str
    baseline: float | None = None
    baseline_is: str = ""
    upstream: str = ""
    goal: str = ""


class Report:
    """Figures in the order they were taken; each is shown at once, and all again at the end."""

    def __init__(self) -> None:
        self._figures: list[Figure] = []

    def add(self, figure: Figure) -> None:
        self._figures.append(figure)
        print(f"measured {figure.what}: {_number(figure.value)} {figure.unit}", flush=True)

    def skip(self, what: str, why: str) -> None:
        print(f"not measured {what}: {why}", flush=True)

    def print(self) -> None:
        header = f"{'what':<46}{'measured':>16}{'baseline':>14}{'ratio':>8}  {'upstream':<16}{'goal':<14}"
        print(f"\n{header}\n{'-' * len(header)}")
        for figure in self._figures:
            ratio = f"{figure.value / figure.baseline:.2f}" if figure.baseline else ""
            baseline = _number(figure.baseline) if figure.baseline is not None else ""
            measured = f"{_number(figure.value)} {figure.unit}"
            print(f"{figure.what:<46}{measured:>16}{baseline:>14}{ratio:>8}  {figure.upstream:<16}{figure.goal:<14}")
        for figure in self._figures:
            if figure.baseline_is:
                print(f"baseline of {figure.what}: {figure.baseline_is}")


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3f}"
