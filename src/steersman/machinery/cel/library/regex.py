"""Kubernetes' regex library: find, findAll (RE2 syntax)."""

from __future__ import annotations

from steersman.machinery import re2
from steersman.machinery.cel.errors import CelRuntimeError
from steersman.machinery.cel.functions import Overload, overload


def _compiled(pattern: str, allowance: re2.Allowance) -> re2.Pattern:
    try:
        return re2.compile(pattern, allowance)
    except re2.TooMuchWork:
        raise
    except ValueError as fault:
        raise CelRuntimeError(f"Illegal regex: {fault}") from None


def complaint(pattern: str) -> str | None:
    """What is wrong with a pattern; a literal one is looked at when a program is made."""
    try:
        re2.check(pattern)
    except ValueError as fault:
        return str(fault)
    return None


def _find(text: str, pattern: str, allowance: re2.Allowance) -> str:
    return _compiled(pattern, allowance).search(text, allowance) or ""


def _find_all(text: str, pattern: str, allowance: re2.Allowance) -> list[str]:
    return _compiled(pattern, allowance).find_all(text, -1, allowance)


def _find_some(text: str, pattern: str, limit: int, allowance: re2.Allowance) -> list[str]:
    return _compiled(pattern, allowance).find_all(text, limit, allowance)


OVERLOADS: tuple[Overload, ...] = (
    overload("find", "string.(string) -> string", _find, "find", searches=True),
    overload("findAll", "string.(string) -> list(string)", _find_all, "find", searches=True),
    overload("findAll", "string.(string, int) -> list(string)", _find_some, "find", searches=True),
)
