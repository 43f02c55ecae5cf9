"""Field selectors: `metadata.name=web,status.phase!=Running`. Which labels a kind knows is not decided here.

Source: upstream apimachinery pkg/fields, its error texts included.
"""

from __future__ import annotations

from collections.abc import Mapping

from steersman.machinery.kept import kept

_OPERATORS = ("!=", "==", "=")


class FieldSelector:
    """A conjunction of (label, `=` or `!=`, value). A missing field equals the empty string. Immutable, hashable."""

    __slots__ = ("requirements",)

    def __init__(self, requirements: tuple[tuple[str, str, str], ...] = ()) -> None:
        self.requirements = requirements

    @property
    def empty(self) -> bool:
        return not self.requirements

    def matches(self, values: Mapping[str, str]) -> bool:
        return all((values.get(label, "") == value) == (op == "=") for label, op, value in self.requirements)

    def exact(self, label: str) -> str | None:
        """The value the selector demands of that label, if any."""
        return next((value for name, op, value in self.requirements if name == label and op == "="), None)

    def __str__(self) -> str:
        return ",".join(f"{label}{op}{escape(value)}" for label, op, value in self.requirements)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldSelector) and self.requirements == other.requirements

    def __hash__(self) -> int:
        return hash(self.requirements)


def everything() -> FieldSelector:
    return FieldSelector()


def escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")


def _unescape(value: str) -> str:
    if not any(char in value for char in "\\,="):
        return value
    out: list[str] = []
    chars = iter(value)
    for char in chars:
        if char == "\\":
            escaped = next(chars, "")
            if escaped not in ("\\", ",", "=") or not escaped:
                raise ValueError(f"invalid field selector: invalid escape sequence: \\{escaped}")
            out.append(escaped)
        elif char in ",=":
            raise ValueError(f"invalid field selector: unescaped character in value: {ord(char)}")
        else:
            out.append(char)
    return "".join(out)


def _split_terms(text: str) -> list[str]:
    terms, start, escaped = [], 0, False
    for index, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == ",":
            terms.append(text[start:index])
            start = index + 1
    terms.append(text[start:])
    return terms


def _split_term(term: str) -> tuple[str, str, str] | None:
    for index in range(len(term)):
        for op in _OPERATORS:
            if term.startswith(op, index):
                return term[:index], op, term[index + len(op) :]
    return None


MOST_TERMS = 1000
"""Each is compared with each object."""


@kept(4096)
def parse(text: str) -> FieldSelector:
    """Raises ValueError with upstream's text. Terms are sorted, empty ones skipped."""
    found: list[tuple[str, str, str]] = []
    terms = _split_terms(text)
    if len(terms) > MOST_TERMS:
        raise ValueError(f"too many terms: {len(terms)} (at most {MOST_TERMS})")
    for term in sorted(terms):
        if not term:
            continue
        split = _split_term(term)
        if split is None:
            raise ValueError(f"invalid selector: '{text}'; can't understand '{term}'")
        label, op, value = split
        found.append((label, "!=" if op == "!=" else "=", _unescape(value)))
    return FieldSelector(tuple(found))
