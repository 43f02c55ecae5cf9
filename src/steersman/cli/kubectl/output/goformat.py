"""Go's fmt.Sprintf, Sprint and Sprintln over decoded JSON: what templates call printf, print and println.

Known verbs: v T % d s q x X f F e E g G t c U b o. Not here: explicit argument indexes (`%[1]d`) and complex numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from steersman.machinery import govalues
from steersman.machinery.govalues import plain, type_name

_VERB = re.compile(r"%([-+# 0]*)(\*|[0-9]+)?(?:\.(\*|[0-9]*))?(.)?", re.S)


class _Spec(NamedTuple):
    flags: str
    width: int
    precision: int | None
    verb: str


def sprint(values: Sequence[Any]) -> str:
    """A space stands between two operands of which neither is text."""
    parts: list[str] = []
    for index, value in enumerate(values):
        if index and not isinstance(value, str) and not isinstance(values[index - 1], str):
            parts.append(" ")
        parts.append(plain(value))
    return "".join(parts)


def sprintln(values: Sequence[Any]) -> str:
    return " ".join(plain(value) for value in values) + "\n"


def sprintf(template: str, values: Sequence[Any]) -> str:
    """Faults show in the text, as in Go: `%!d(string=x)`, `%!s(MISSING)`, `%!(EXTRA int64=3)`."""
    waiting = list(values)
    parts: list[str] = []
    at = 0
    for found in _VERB.finditer(template):
        parts.append(template[at : found.start()])
        at = found.end()
        flags, width, precision, verb = found[1], found[2], found[3], found[4]
        if verb is None:
            parts.append("%!(NOVERB)")
            continue
        wide = _amount(width, waiting)
        exact = None if precision is None else _amount(precision, waiting) or 0
        if verb == "%":
            parts.append("%")
        elif not waiting:
            parts.append(f"%!{verb}(MISSING)")
        else:
            if wide is not None and wide < 0:
                flags, wide = flags + "-", -wide
            parts.append(_format(_Spec(flags, wide or 0, exact, verb), waiting.pop(0)))
    parts.append(template[at:])
    if waiting:
        shown = ", ".join("<nil>" if value is None else f"{type_name(value)}={plain(value)}" for value in waiting)
        parts.append(f"%!(EXTRA {shown})")
    return "".join(parts)


def _amount(text: str | None, waiting: list[Any]) -> int | None:
    if text == "*":
        return int(waiting.pop(0)) if waiting and isinstance(waiting[0], int) else 0
    return int(text) if text else None


def _format(spec: _Spec, value: Any) -> str:
    if spec.verb == "T":
        return _pad(spec, type_name(value))
    if spec.verb == "v" and "#" in spec.flags:
        return _pad(spec, "<nil>" if value is None else govalues.syntax(value))
    if value is None:
        return _pad(spec, "<nil>") if spec.verb == "v" else f"%!{spec.verb}(<nil>)"
    if isinstance(value, dict):
        inner = " ".join(f"{_format(spec, key)}:{_format(spec, value[key])}" for key in sorted(value))
        return f"map[{inner}]"
    if isinstance(value, list):
        return f"[{' '.join(_format(spec, item) for item in value)}]"
    text = _text(spec, value) if isinstance(value, str) else _scalar(spec, value)
    return f"%!{spec.verb}({type_name(value)}={plain(value)})" if text is None else text


def _text(spec: _Spec, value: str) -> str | None:
    if spec.verb in "vs":
        return _pad(spec, value if spec.precision is None else value[: spec.precision])
    if spec.verb == "q":
        raw = "#" in spec.flags and "`" not in value and value.isprintable()
        return _pad(spec, f"`{value}`" if raw else govalues.quote(value))
    if spec.verb in "xX":
        shown = value.encode().hex(" ") if " " in spec.flags else value.encode().hex()
        return _pad(spec, shown.upper() if spec.verb == "X" else shown)
    return None


def _scalar(spec: _Spec, value: bool | int | float) -> str | None:
    if isinstance(value, bool):
        return _pad(spec, plain(value)) if spec.verb in "vt" else None
    if isinstance(value, float):
        return _float(spec, value)
    return _int(spec, value)


def _int(spec: _Spec, value: int) -> str | None:
    verb = spec.verb
    if verb == "c":
        return _pad(spec, chr(value))
    if verb == "q":
        return _pad(spec, govalues.quote_char(value))
    if verb == "U":
        return _pad(spec, f"U+{value:04X}")
    base = {"v": "d", "d": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}.get(verb)
    if base is None:
        return None
    digits = format(abs(value), base)
    if spec.precision is not None:
        digits = digits.rjust(spec.precision, "0")
    prefix = {"x": "0x", "X": "0X", "o": "0", "b": "0b"}.get(verb, "") if "#" in spec.flags else "0o" if verb == "O" else ""
    return _signed(spec, value < 0, prefix + digits, zeros=spec.precision is None)


def _float(spec: _Spec, value: float) -> str | None:
    verb = spec.verb
    if verb not in "vfFeEgG":
        return None
    if verb in "fFeE":
        digits = format(abs(value), f".{6 if spec.precision is None else spec.precision}{verb}")
    elif spec.precision is None:
        digits = govalues.number(abs(value))
        digits = digits.upper() if verb == "G" else digits
    else:
        digits = format(abs(value), f".{spec.precision}{'g' if verb == 'v' else verb}")
    return _signed(spec, value < 0, digits, zeros=True)


def _signed(spec: _Spec, negative: bool, digits: str, *, zeros: bool) -> str:
    sign = "-" if negative else "+" if "+" in spec.flags else " " if " " in spec.flags else ""
    if zeros and "0" in spec.flags and "-" not in spec.flags:
        return sign + digits.rjust(spec.width - len(sign), "0")
    return _pad(spec._replace(flags=spec.flags.replace("0", "")), sign + digits)


def _pad(spec: _Spec, text: str) -> str:
    if "-" in spec.flags:
        return text.ljust(spec.width)
    return text.rjust(spec.width, "0" if "0" in spec.flags else " ")
