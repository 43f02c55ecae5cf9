"""Kubernetes' quantity library."""

from __future__ import annotations

from steersman.machinery import quantity
from steersman.machinery.cel.errors import CelRuntimeError
from steersman.machinery.cel.functions import Overload, overload
from steersman.machinery.cel.values import MAX_INT, MIN_INT
from steersman.machinery.quantity import Quantity

_NANO = 10**9


def _parse(text: str) -> Quantity:
    try:
        return quantity.parse(text)
    except ValueError as fault:
        raise CelRuntimeError(str(fault)) from None


def _is_quantity(text: str) -> bool:
    try:
        quantity.parse(text)
    except ValueError:
        return False
    return True


def _is_integer(value: Quantity) -> bool:
    return value.nano % _NANO == 0 and MIN_INT <= value.nano // _NANO <= MAX_INT


def _as_integer(value: Quantity) -> int:
    if not _is_integer(value):
        raise CelRuntimeError("cannot convert value to integer")
    return value.nano // _NANO


def _compare(a: Quantity, b: Quantity) -> int:
    return (a.nano > b.nano) - (a.nano < b.nano)


OVERLOADS: tuple[Overload, ...] = (
    overload("quantity", "(string) -> quantity", _parse, "first"),
    overload("isQuantity", "(string) -> bool", _is_quantity, "first"),
    overload("sign", "(quantity) -> int", lambda value: value.sign),
    overload("isInteger", "quantity.() -> bool", _is_integer),
    overload("asInteger", "quantity.() -> int", _as_integer),
    overload("asApproximateFloat", "quantity.() -> double", lambda value: value.nano / _NANO),
    overload("add", "quantity.(quantity) -> quantity", lambda a, b: a + b),
    overload("add", "quantity.(int) -> quantity", lambda a, b: a + Quantity.of(b, a.format)),
    overload("sub", "quantity.(quantity) -> quantity", lambda a, b: a - b),
    overload("sub", "quantity.(int) -> quantity", lambda a, b: a - Quantity.of(b, a.format)),
    overload("isGreaterThan", "quantity.(quantity) -> bool", lambda a, b: a.nano > b.nano),
    overload("isLessThan", "quantity.(quantity) -> bool", lambda a, b: a.nano < b.nano),
    overload("compareTo", "quantity.(quantity) -> int", _compare),
)
