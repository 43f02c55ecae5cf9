"""Kubernetes' regex library: find, findAll (RE2 syntax)."""

from __future__ import annotations

import re

from steersman.machinery import re2
from steersman.machinery.cel.errors import CelRuntimeError
from steersman.machinery.cel.functions import Overload, overload


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re2.compile(pattern)
    except ValueError as fault:
        raise CelRuntimeError(f"Illegal regex: {fault}") from None


def complaint(pattern: str) -> str | None:
    """What is wrong with a pattern; a literal one is looked at when a program is made."""
    try:
        re2.compile(pattern)
    except ValueError as fault:
        return str(fault)
    return None


def _find(text: str, pattern: str) -> str:
    found = _compiled(pattern).search(text)
    return found[0] if found is not None else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    made: list[str] = []
    for found in _compiled(pattern).finditer(text):
        if 0 <= limit <= len(made):
            break
        made.append(found[0])
    return made


OVERLOADS: tuple[Overload, ...] = (
    overload("find", "string.(string) -> string", _find, "find"),
    overload("findAll", "string.(string) -> list(string)", _find_all, "find"),
    overload("findAll", "string.(string, int) -> list(string)", _find_all, "find"),
)
