"""Kubernetes' semver library: semantic versions 2.0, by choice with a lenient reading (`v1.2`)."""

from __future__ import annotations

import re
from functools import total_ordering

from steersman.machinery.cel.errors import CelRuntimeError
from steersman.machinery.cel.functions import Overload, overload
from steersman.machinery.cel.types import SEMVER
from steersman.machinery.cel.values import MAX_INT, MAX_UINT

_IDENTIFIER = re.compile(r"[0-9A-Za-z-]+")
_NAMES = ("Major", "Minor", "Patch")


@total_ordering
class Version:
    """Ordered as the standard says; build metadata do not count."""

    __slots__ = ("numbers", "pre")
    cel_type = SEMVER

    def __init__(self, numbers: tuple[int, int, int], pre: tuple[str, ...]) -> None:
        self.numbers = numbers
        self.pre = pre

    def _key(self) -> tuple[object, ...]:
        identifiers = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.pre)
        return (self.numbers, not self.pre, identifiers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._key() == other._key()

    def __lt__(self, other: Version) -> bool:
        return self._key() < other._key()

    def __hash__(self) -> int:
        return hash(self._key())


def _parse(text: str) -> Version:
    """Raises ValueError."""
    if not text:
        raise ValueError("Version string empty")
    parts = text.split(".", 2)
    if len(parts) != 3:
        raise ValueError("No Major.Minor.Patch elements found")
    rest, plus, build = parts[2].partition("+")
    patch, dash, pre = rest.partition("-")
    numbers = [_number(value, name) for value, name in zip((parts[0], parts[1], patch), _NAMES)]
    if dash:
        for part in pre.split("."):
            _identifier(part, "PreRelease")
            if part.isdigit() and len(part) > 1 and part[0] == "0":
                raise ValueError(f'Numeric PreRelease version must not contain leading zeroes "{part}"')
    if plus:
        for part in build.split("."):
            _identifier(part, "Build meta data")
    return Version((numbers[0], numbers[1], numbers[2]), tuple(pre.split(".")) if dash else ())


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f'Invalid character(s) found in {name.lower()} number "{text}"')
    if len(text) > 1 and text[0] == "0":
        raise ValueError(f'{name} number must not contain leading zeroes "{text}"')
    if len(text) > 20 or int(text) > MAX_UINT:
        raise ValueError(f'strconv.ParseUint: parsing "{text}": value out of range')
    return int(text)


def _identifier(text: str, name: str) -> None:
    if not text:
        raise ValueError(f"{name} is empty" if name != "PreRelease" else "Prerelease is empty")
    if _IDENTIFIER.fullmatch(text) is None:
        raise ValueError(f'Invalid character(s) found in {"prerelease" if name == "PreRelease" else "build meta data"} "{text}"')


def _normalized(text: str) -> str:
    text = text.strip().removeprefix("v")
    parts = text.split(".", 2)
    parts = [_without_zeros(part) if index < 2 else part for index, part in enumerate(parts)]
    if len(parts) == 3:
        number = re.match(r"[0-9]*", parts[2])
        digits = number[0] if number is not None else ""
        parts[2] = _without_zeros(digits) + parts[2][len(digits) :]
    elif any(char in parts[-1] for char in "+-"):
        raise ValueError("short version cannot contain PreRelease/Build meta data")
    return ".".join([*parts, *["0"] * (3 - len(parts))])


def _without_zeros(text: str) -> str:
    return (text.lstrip("0") or "0") if text[:1] == "0" and len(text) > 1 else text


def parse(text: str, normalize: bool = False) -> Version:
    try:
        return _parse(_normalized(text) if normalize else text)
    except ValueError as fault:
        raise CelRuntimeError(str(fault)) from None


def _is_semver(text: str, normalize: bool = False) -> bool:
    try:
        parse(text, normalize)
    except CelRuntimeError:
        return False
    return True


def _component(version: Version, index: int) -> int:
    if version.numbers[index] > MAX_INT:
        raise CelRuntimeError("integer overflow")
    return version.numbers[index]


OVERLOADS: tuple[Overload, ...] = (
    overload("semver", "(string) -> semver", parse, "first"),
    overload("semver", "(string, bool) -> semver", parse, "first"),
    overload("isSemver", "(string) -> bool", _is_semver, "first"),
    overload("isSemver", "(string, bool) -> bool", _is_semver, "first"),
    overload("major", "semver.() -> int", lambda version: _component(version, 0)),
    overload("minor", "semver.() -> int", lambda version: _component(version, 1)),
    overload("patch", "semver.() -> int", lambda version: _component(version, 2)),
    overload("isGreaterThan", "semver.(semver) -> bool", lambda a, b: a > b),
    overload("isLessThan", "semver.(semver) -> bool", lambda a, b: a < b),
    overload("compareTo", "semver.(semver) -> int", lambda a, b: (a > b) - (a < b)),
)
