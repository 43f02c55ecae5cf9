"""string.format() and strings.quote(). Numbers look as in en-US."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from steersman.machinery.cel import timetext
from steersman.machinery.cel.ast import Node
from steersman.machinery.cel.errors import CelRuntimeError, CostLimitExceeded
from steersman.machinery.cel.types import Type
from steersman.machinery.cel.values import Duration, Timestamp, key_value, kind_of

_CLAUSE = re.compile(r"%(?:\.([0-9]*))?(.?)", re.DOTALL)
_QUOTED = {
    "\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v", "\\": r"\\", '"': r"\"",
}  # fmt: skip
_SUPERSCRIPT = str.maketrans("0123456789-", "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b")
_MAX_PRECISION = 1000
LONGEST_TEXT = 100_000_000
"""Code points of a result. Upstream has no such limit; nothing that fits into a request gets near it by honest means."""
_KNOWN = "sdfexXob"
_ALLOWED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "d": ("decimal clause can only be used on integers, was given {}", ("int", "uint")),
    "f": ("fixed-point clause can only be used on doubles, was given {}", ("double",)),
    "e": ("scientific clause can only be used on doubles, was given {}", ("double",)),
    "b": ("only integers and bools can be formatted as binary, was given {}", ("int", "uint", "bool")),
    "o": ("octal clause can only be used on integers, was given {}", ("int", "uint")),
    "x": ("only integers, byte buffers, and strings can be formatted as hex, was given {}", ("int", "uint", "string", "bytes")),
    "s": (
        "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps, "
        "was given {}",
        ("string", "bool", "bytes", "int", "uint", "double", "map", "list", "type", "duration", "timestamp", "null"),
    ),
}
_SPECIAL = {"NaN": "NaN", "Infinity": "\u221e", "-Infinity": "-\u221e"}


def quote(text: str) -> str:
    return '"' + "".join(_QUOTED.get(char, char) for char in text) + '"'


def format_string(form: str, args: list[Any]) -> str:
    """Raises CelRuntimeError."""
    made: list[str] = []
    index = place = 0
    for found in _CLAUSE.finditer(form):
        made.append(form[place : found.start()])
        place = found.end()
        if found[0] == "%%":
            made.append("%")
            continue
        _check_clause(found)
        if index >= len(args):
            raise CelRuntimeError(f"index {index} out of range")
        made.append(_formatted(found[2], found[1], args[index]))
        index += 1
    return "".join(made) + form[place:]


def complaint(form: Any, items: Any) -> str | None:
    """What can be said of a literal format and a literal list before they meet."""
    if not isinstance(form, str):
        return None
    try:
        clauses = list(_clauses(form))
    except CelRuntimeError as fault:
        return str(fault)
    if not isinstance(items, list):
        return None
    for index, clause in enumerate(clauses):
        if index >= len(items):
            return f"error during formatting: index {index} out of range"
        node = items[index]
        assert isinstance(node, Node)
        wrong = _refused(clause, node.type, "")
        if wrong:
            return f"error during formatting: {wrong}"
    if len(items) > len(clauses):
        return f"too many arguments supplied to string.format (expected {len(clauses)}, got {len(items)})"
    return None


def _clauses(form: str) -> Iterator[str]:
    for found in _CLAUSE.finditer(form):
        if found[0] != "%%":
            _check_clause(found)
            yield found[2]


def _check_clause(found: re.Match[str]) -> None:
    if not found[2]:
        raise CelRuntimeError("could not parse formatting clause: unexpected end of string")
    if found[2] not in _KNOWN:
        raise CelRuntimeError(f'could not parse formatting clause: unrecognized formatting clause "{found[2]}"')
    if found[1] and int(found[1]) > _MAX_PRECISION:
        raise CelRuntimeError("error while parsing precision: too large")


def _refused(clause: str, given: Type, text: str) -> str | None:
    wording, kinds = _ALLOWED[clause.lower()]
    if given.is_dyn or given.kind in kinds or (clause in "def" and text in _SPECIAL):
        return None
    return wording.format(given.runtime_name)


def _formatted(clause: str, precision: str | None, value: Any) -> str:
    wrong = _refused(clause, kind_of(value), value if isinstance(value, str) else "")
    if wrong:
        raise CelRuntimeError(wrong)
    if clause == "s":
        return text_of(value)
    if isinstance(value, str) and clause in "def":
        return _SPECIAL[value]
    if clause == "d":
        return str(int(value))
    if clause in "fe":
        return _real(value, int(precision) if precision else 6, scientific=clause == "e")
    if clause in "xX":
        shown = value.encode().hex() if isinstance(value, str) else value.hex() if isinstance(value, bytes) else f"{int(value):x}"
        return shown.upper() if clause == "X" else shown
    return f"{int(value):{clause}}"


def _real(value: float, precision: int, *, scientific: bool) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "\u221e" if value > 0 else "-\u221e"
    if not scientific:
        return f"{value:,.{precision}f}"
    mantissa, _, power = f"{value:.{precision}e}".partition("e")
    exponent = power.lstrip("+")
    return f"{mantissa}\u202f\u00d7\u202f10{exponent.translate(_SUPERSCRIPT)}"


def text_of(value: Any, *, inside: bool = False) -> str:
    """As %s shows it. inside: as part of a list or map."""
    if isinstance(value, str):
        return f'"{value}"' if inside else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return _plain(value)
    if isinstance(value, bytes):
        text = value.decode("utf-8", "replace")
        return f'b"{text}"' if inside else text
    if isinstance(value, Duration):
        text = timetext.duration_text(value.ns)
        return f'duration("{text}")' if inside else text
    if isinstance(value, Timestamp):
        text = timetext.timestamp_text(value.ns, value.offset_s)
        return f'timestamp("{text}")' if inside else text
    if isinstance(value, Type):
        return value.runtime_name
    if isinstance(value, list):
        return f"[{', '.join(_parts(value))}]"
    if isinstance(value, Mapping):
        shown = sorted(zip(_parts(map(key_value, value)), _parts(value.values())))
        return f"{{{', '.join(f'{key}: {item}' for key, item in shown)}}}"
    raise CelRuntimeError(_ALLOWED["s"][0].format(kind_of(value).runtime_name))


def _parts(values: Iterable[Any]) -> Iterator[str]:
    """The texts of several values. Raises CostLimitExceeded where they get out of hand."""
    size = 0
    for value in values:
        text = text_of(value, inside=True)
        size += len(text)
        if size > LONGEST_TEXT:
            raise CostLimitExceeded
        yield text


def _plain(value: float) -> str:
    """The fewest digits, never with an exponent."""
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    text = f"{value:.17g}" if abs(value) >= 1e16 or 0 < abs(value) < 1e-4 else repr(value)
    if "e" in text:
        digits, _, power = repr(value).partition("e")
        return f"{value:.{max(0, len(digits.partition('.')[2]) - int(power or 0))}f}"
    return text.removesuffix(".0")
