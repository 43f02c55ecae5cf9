"""From type to type: int(), uint(), double(), string(), bytes(), bool(), duration(), timestamp(), dyn(), type()."""

from __future__ import annotations

import math
import re
from typing import Any, NoReturn

from steersman.machinery.cel import timetext
from steersman.machinery.cel.errors import CelRuntimeError
from steersman.machinery.cel.functions import Overload, overload
from steersman.machinery.cel.values import MAX_INT, MAX_UINT, MIN_INT, SECOND, Duration, Timestamp, UInt, kind_of

_BOOLS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}
_DECIMAL = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(r"[+-]?(?:[0-9]*\.?[0-9]*(?:[eE][+-]?[0-9]+)?|inf|infinity|nan)", re.IGNORECASE)
_HEX_FLOAT = re.compile(r"[+-]?0[xX][0-9a-fA-F]*\.?[0-9a-fA-F]*[pP][+-]?[0-9]+")
_TWO_64 = float(1 << 64)


def _fail(value: Any, wanted: str) -> NoReturn:
    raise CelRuntimeError(f"type conversion error from '{kind_of(value).runtime_name}' to '{wanted}'")


def _overflow(unsigned: bool = False) -> CelRuntimeError:
    return CelRuntimeError("unsigned integer overflow" if unsigned else "integer overflow")


def int_of_double(value: float) -> int:
    if math.isnan(value) or not float(MIN_INT) < value < float(MAX_INT):
        raise _overflow()
    return int(value)


def _int_of_uint(value: int) -> int:
    if value > MAX_INT:
        raise _overflow()
    return int(value)


def _int_of_string(text: str) -> int:
    if _DECIMAL.fullmatch(text) is None or len(text) > 400 or not MIN_INT <= int(text) <= MAX_INT:
        _fail(text, "int")
    return int(text)


def _uint_of_int(value: int) -> UInt:
    if value < 0:
        raise _overflow(True)
    return UInt(value)


def _uint_of_double(value: float) -> UInt:
    if math.isnan(value) or not 0 <= value < _TWO_64:
        raise _overflow(True)
    return UInt(int(value))


def _uint_of_string(text: str) -> UInt:
    if not (text.isascii() and text.isdigit()) or len(text) > 400 or int(text) > MAX_UINT:
        _fail(text, "uint")
    return UInt(int(text))


def _double_of_string(text: str) -> float:
    try:
        if _HEX_FLOAT.fullmatch(text):
            return float.fromhex(text)
        if not _FLOAT.fullmatch(text):
            _fail(text, "double")
        value = float(text)
    except (ValueError, OverflowError):
        _fail(text, "double")
    if math.isinf(value) and "inf" not in text.lower():
        _fail(text, "double")
    return value


def _bool_of_string(text: str) -> bool:
    if text not in _BOOLS:
        _fail(text, "bool")
    return _BOOLS[text]


def double_text(value: float) -> str:
    """As Go prints %g: the fewest digits, an exponent where it is below -4 or above 5."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    digits, exponent = _decimal(repr(abs(value)))
    sign = "-" if math.copysign(1, value) < 0 else ""
    if not -4 <= exponent < 6:
        mantissa = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "")
        return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    return f"{sign}{whole}" + (f".{digits[exponent + 1 :]}" if digits[exponent + 1 :] else "")


def _decimal(text: str) -> tuple[str, int]:
    """The significant digits, and the power of ten of the first."""
    number, _, power = text.partition("e")
    whole, _, fraction = number.partition(".")
    exponent = int(power or "0") + len(whole) - 1
    digits = whole + fraction
    while len(digits) > 1 and digits[0] == "0":
        digits, exponent = digits[1:], exponent - 1
    digits = digits.rstrip("0") or "0"
    return (digits, 0) if digits == "0" else (digits, exponent)


def string_of_bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise CelRuntimeError("invalid UTF-8 in bytes, cannot convert to string") from None


def duration_of_string(text: str) -> Duration:
    ns = timetext.parse_duration(text)
    if ns is None:
        _fail(text, "google.protobuf.Duration")
    return Duration(ns)


def timestamp_of_string(text: str) -> Timestamp:
    found = timetext.parse_timestamp(text)
    if found is None:
        _fail(text, "google.protobuf.Timestamp")
    return Timestamp(*found)


def _bad_duration(text: Any) -> str | None:
    return "invalid duration argument" if isinstance(text, str) and timetext.parse_duration(text) is None else None


def _bad_timestamp(text: Any) -> str | None:
    return "invalid timestamp argument" if isinstance(text, str) and timetext.parse_timestamp(text) is None else None


def _same(value: Any) -> Any:
    return value


OVERLOADS: tuple[Overload, ...] = (
    overload("int", "(int) -> int", _same),
    overload("int", "(double) -> int", int_of_double),
    overload("int", "(uint) -> int", _int_of_uint),
    overload("int", "(string) -> int", _int_of_string),
    overload("int", "(timestamp) -> int", lambda value: value.ns // SECOND),
    overload("int", "(duration) -> int", lambda value: value.ns),
    overload("uint", "(uint) -> uint", _same),
    overload("uint", "(double) -> uint", _uint_of_double),
    overload("uint", "(int) -> uint", _uint_of_int),
    overload("uint", "(string) -> uint", _uint_of_string),
    overload("double", "(double) -> double", _same),
    overload("double", "(int) -> double", float),
    overload("double", "(uint) -> double", float),
    overload("double", "(string) -> double", _double_of_string),
    overload("bool", "(bool) -> bool", _same),
    overload("bool", "(string) -> bool", _bool_of_string),
    overload("string", "(string) -> string", _same),
    overload("string", "(bool) -> string", lambda value: "true" if value else "false"),
    overload("string", "(int) -> string", str),
    overload("string", "(uint) -> string", lambda value: str(int(value))),
    overload("string", "(double) -> string", double_text),
    overload("string", "(bytes) -> string", string_of_bytes, "to_string"),
    overload("string", "(timestamp) -> string", lambda value: timetext.timestamp_text(value.ns, value.offset_s)),
    overload("string", "(duration) -> string", lambda value: timetext.duration_text(value.ns)),
    overload("bytes", "(bytes) -> bytes", _same),
    overload("bytes", "(string) -> bytes", lambda text: text.encode("utf-8", "surrogatepass"), "to_bytes"),
    overload("duration", "(duration) -> duration", _same),
    overload("duration", "(int) -> duration", lambda value: _fail(value, "google.protobuf.Duration")),
    overload("duration", "(string) -> duration", duration_of_string, literal=_bad_duration),
    overload("timestamp", "(timestamp) -> timestamp", _same),
    overload("timestamp", "(int) -> timestamp", lambda value: Timestamp(value * SECOND)),
    overload("timestamp", "(string) -> timestamp", timestamp_of_string, literal=_bad_timestamp),
    overload("dyn", "(A) -> dyn", _same),
    overload("type", "(A) -> type(A)", kind_of),
)
"""double(int) rounds as Python's float() does: to the nearest, ties to even."""
