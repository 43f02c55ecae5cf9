"""Resource quantities: exact numbers with upstream's suffixes and canonical text ("1000m" is "1", "1024Mi" is "1Gi").

A quantity is an integer number of nano-units, which is as fine as upstream stores; finer input is rounded up, away from zero.
Its suffix family (decimal, binary, exponent) survives arithmetic. Source: upstream apimachinery pkg/api/resource.
"""

from __future__ import annotations

import re
from functools import lru_cache, total_ordering
from typing import Final

DECIMAL_SI: Final = "DecimalSI"
BINARY_SI: Final = "BinarySI"
DECIMAL_EXPONENT: Final = "DecimalExponent"

_NANO = 10**9
_MILLI = 10**6
_MAX_BINARY = ((1 << 63) - 1) * _NANO
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_SUFFIX = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_WRONG_FORMAT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_WRONG_SUFFIX = "unable to parse quantity's suffix"
_LONGEST: Final = 256
"""No sane quantity is longer."""
_PATTERN = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*(?:[-+]?[0-9]*))", re.ASCII)
_EXPONENT = re.compile(r"[eE]([-+]?[0-9]{1,18})", re.ASCII)


@total_ordering
class Quantity:
    """Immutable. Compares and hashes by amount only: parse("1") == parse("1000m")."""

    __slots__ = ("nano", "format", "_text")

    nano: int
    format: str
    _text: str | None

    def __init__(self, nano: int, format: str = DECIMAL_SI) -> None:
        self.nano = nano
        self.format = format
        self._text = None

    @classmethod
    def of(cls, value: int, format: str = DECIMAL_SI) -> Quantity:
        """A whole number of units."""
        return cls(value * _NANO, format)

    @classmethod
    def of_milli(cls, milli: int, format: str = DECIMAL_SI) -> Quantity:
        return cls(milli * _MILLI, format)

    @property
    def milli(self) -> int:
        """Thousandths, rounded away from zero."""
        return _divide_up(self.nano, _MILLI)

    @property
    def value(self) -> int:
        """Whole units, rounded away from zero."""
        return _divide_up(self.nano, _NANO)

    @property
    def is_zero(self) -> bool:
        return self.nano == 0

    @property
    def sign(self) -> int:
        return (self.nano > 0) - (self.nano < 0)

    def rounded_up_to_milli(self) -> Quantity:
        """What resource lists store: nothing finer than thousandths."""
        return Quantity(self.milli * _MILLI, self.format)

    def __add__(self, other: Quantity) -> Quantity:
        return Quantity(self.nano + other.nano, self.format if self.nano else other.format)

    def __sub__(self, other: Quantity) -> Quantity:
        return Quantity(self.nano - other.nano, self.format if self.nano else other.format)

    def __mul__(self, factor: int) -> Quantity:
        return Quantity(self.nano * factor, self.format)

    __rmul__ = __mul__

    def __neg__(self) -> Quantity:
        return Quantity(-self.nano, self.format)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.nano == other.nano

    def __lt__(self, other: Quantity) -> bool:
        return self.nano < other.nano

    def __hash__(self) -> int:
        return hash(self.nano)

    def __bool__(self) -> bool:
        return self.nano != 0

    def __str__(self) -> str:
        if self._text is None:
            self._text = _canonical(self.nano, self.format)
        return self._text

    def __repr__(self) -> str:
        return f"Quantity({str(self)!r})"


ZERO = Quantity(0)


def _divide_up(number: int, divisor: int) -> int:
    return -(-number // divisor) if number >= 0 else number // divisor


def _canonical(nano: int, format: str) -> str:
    """The shortest whole mantissa with a suffix of the family; binary falls back to decimal where it cannot be exact."""
    if nano == 0:
        return "0"
    if format == BINARY_SI:
        whole, rest = divmod(nano, _NANO)
        if not rest and abs(whole) >= 1024:
            power = 0
            while whole % 1024 == 0 and power < 6:
                whole //= 1024
                power += 1
            return f"{whole}{_BINARY_SUFFIX[power]}"
        format = DECIMAL_SI
    exponent, mantissa = -9, nano
    while mantissa % 1000 == 0 and (exponent < 18 or format == DECIMAL_EXPONENT):
        mantissa //= 1000
        exponent += 3
    if format == DECIMAL_SI:
        return f"{mantissa}{_DECIMAL_SUFFIX[exponent]}"
    return f"{mantissa}e{exponent}" if exponent else str(mantissa)


@lru_cache(maxsize=16384)
def _parse(text: str) -> Quantity:
    if len(text) > _LONGEST:
        raise ValueError("unable to parse numeric part of quantity")
    found = _PATTERN.fullmatch(text)
    if found is None or not text:
        raise ValueError(_WRONG_FORMAT)
    sign, whole, fraction, suffix = found.groups()
    fraction = fraction or ""
    digits = int((whole + fraction) or "0")
    if suffix in _BINARY:
        format, numerator, exponent = BINARY_SI, digits << _BINARY[suffix], 0
    elif suffix in _DECIMAL:
        format, numerator, exponent = DECIMAL_SI, digits, _DECIMAL[suffix]
    else:
        power = _EXPONENT.fullmatch(suffix)
        if power is None:
            raise ValueError(_WRONG_SUFFIX)
        format, numerator, exponent = DECIMAL_EXPONENT, digits, int(power[1])
    shift = exponent + 9 - len(fraction)
    if numerator == 0:
        nano = 0
    elif shift >= 0:
        # No sane quantity has thousands of digits; a huge exponent must not become a huge computation.
        if shift > 1000:
            raise ValueError("unable to parse numeric part of quantity")
        nano = numerator * 10**shift
    else:
        nano = _divide_up(numerator, 10**-shift) if -shift <= len(fraction) + 1000 else 1
    if format == BINARY_SI:
        if nano > _MAX_BINARY:
            nano = _MAX_BINARY
        elif 0 < nano < _NANO:
            format = DECIMAL_SI
    return Quantity(-nano if sign == "-" else nano, format)


def parse(value: str | int | float) -> Quantity:
    """A quantity from a JSON string or number. Raises ValueError with upstream's text."""
    if type(value) is str:
        return _parse(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(_WRONG_FORMAT)
    return _parse(str(value).strip())


@lru_cache(maxsize=16384)
def milli(value: str | int | float) -> int:
    """Thousandths of a quantity's text, rounded up: CPU."""
    return parse(value).milli


@lru_cache(maxsize=16384)
def value(value: str | int | float) -> int:
    """Whole units of a quantity's text, rounded up: memory, counts."""
    return parse(value).value


@lru_cache(maxsize=16384)
def canonical(value: str | int | float) -> str:
    """The canonical text."""
    return str(parse(value))


@lru_cache(maxsize=16384)
def canonical_resource(value: str | int | float) -> str:
    """The canonical text as resource lists (requests, limits, capacity) store it: rounded up to thousandths."""
    return str(parse(value).rounded_up_to_milli())
