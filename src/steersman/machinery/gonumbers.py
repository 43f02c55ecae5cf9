"""Numbers in text from outside, read as Go's strconv does: ASCII digits, within 64 bits, and its words for what is neither.

Python's int() takes digits of all scripts, underscores and spaces, and any size, with an error of its own above 4,300 digits.
"""

from __future__ import annotations

import re

_SIGNED = re.compile(r"[+-]?0*([0-9]+)", re.ASCII)
_UNSIGNED = re.compile(r"0*([0-9]+)", re.ASCII)
_MOST_DIGITS = 20


def parse_int(text: str) -> int:
    """strconv.ParseInt(text, 10, 64). Raises ValueError in Go's words."""
    return _parse("ParseInt", _SIGNED, text, -(1 << 63), (1 << 63) - 1)


def parse_uint(text: str) -> int:
    """strconv.ParseUint(text, 10, 64). Raises ValueError in Go's words."""
    return _parse("ParseUint", _UNSIGNED, text, 0, (1 << 64) - 1)


def _parse(function: str, form: re.Pattern[str], text: str, least: int, most: int) -> int:
    found = form.fullmatch(text)
    if found is None:
        raise ValueError(f'strconv.{function}: parsing "{text}": invalid syntax')
    number = int(found[1]) if len(found[1]) <= _MOST_DIGITS else 2 * most
    number = -number if text.startswith("-") else number
    if not least <= number <= most:
        raise ValueError(f'strconv.{function}: parsing "{text}": value out of range')
    return number
