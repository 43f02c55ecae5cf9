"""Decoded JSON as Go's fmt package shows it: `%v`, `%#v`, `%T`, and Go's quoting of text.

Error texts, templates and custom columns print values that way. Not here: format strings (goformat.py).
"""

from __future__ import annotations

import re
from typing import Any

_NAMED = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v", "\\": r"\\"}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.S)
_UNNAMED = {escape[1]: char for char, escape in _NAMED.items()}


class GoInt(int):
    """A number that a template made itself: Go's `int`, where numbers from JSON are `int64`. Only type names differ."""


def type_name(value: Any) -> str:
    """Go's name of the type that decoded JSON has."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if isinstance(value, GoInt) else "int64"
    if isinstance(value, float):
        return "float64"
    if isinstance(value, str):
        return "string"
    return "map[string]interface {}" if isinstance(value, dict) else "[]interface {}"


def number(value: float, *, large: int = 6) -> str:
    """The shortest text of a float, with an exponent below 1e-4 and from 10**large on."""
    if value != value or value in (float("inf"), float("-inf")):
        return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"
    mantissa, _, exponent = f"{value:.17e}".partition("e")
    digits, _, shown = repr(value).partition("e")
    power = int(exponent) if value else 0
    if value and (power < -4 or power >= large):
        if not shown:
            from decimal import Decimal

            sign, figures, _scale = Decimal(digits).normalize().as_tuple()
            text = "".join(map(str, figures))
            digits = ("-" if sign else "") + text[0] + (f".{text[1:]}" if text[1:] else "")
        return f"{digits.removesuffix('.0')}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if shown:
        from decimal import Decimal

        return format(Decimal(repr(value)), "f").removesuffix(".0")
    return digits.removesuffix(".0")


def plain(value: Any) -> str:
    """`%v`: `map[a:1 b:[x y]]`, `<nil>`."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{plain(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(plain(item) for item in value)}]"
    return str(int(value))


def syntax(value: Any) -> str:
    """`%#v`: the value as Go source would have it."""
    if isinstance(value, str):
        return quote(value)
    if value is None:
        return "interface {}(nil)"
    if isinstance(value, bool | int):
        return plain(value)
    if isinstance(value, float):
        return number(value)
    if isinstance(value, dict):
        return f"{type_name(value)}{{{', '.join(f'{quote(key)}:{syntax(value[key])}' for key in sorted(value))}}}"
    return f"{type_name(value)}{{{', '.join(syntax(item) for item in value)}}}"


def quote(text: str) -> str:
    """strconv.Quote."""
    return '"' + "".join(_quoted(char, '"') for char in text) + '"'


def quote_char(code: int) -> str:
    """strconv.QuoteRune."""
    return "'" + _quoted(chr(code), "'") + "'"


def unquote(text: str) -> str:
    """The text of a literal in double, single or back quotes. ValueError if there is an escape that Go does not know."""
    if text[0] == "`":
        return text[1:-1]

    def replaced(found: re.Match[str]) -> str:
        code = found[1]
        if code in _UNNAMED:
            return _UNNAMED[code]
        if code in "'\"":
            return code
        if len(code) > 1:
            return chr(int(code, 8)) if code.isdigit() and len(code) == 3 else chr(int(code[1:], 16))
        raise ValueError("invalid syntax")

    return _ESCAPE.sub(replaced, text[1:-1])


def unicode_name(char: str) -> str:
    """`%#U`: `U+002A '*'`."""
    return f"U+{ord(char):04X} '{char}'" if char.isprintable() else f"U+{ord(char):04X}"


def _quoted(char: str, mark: str) -> str:
    if char == mark:
        return "\\" + mark
    if char in _NAMED:
        return _NAMED[char]
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
