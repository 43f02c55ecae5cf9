"""Amounts that specs give as a number or as a share (IntOrString)."""

from __future__ import annotations


def int_or_percent(value: int | str, total: int, *, round_up: bool) -> int:
    """`25%` of total, or the number itself."""
    if isinstance(value, int):
        return value
    share = int(value.removesuffix("%")) * total
    return -(-share // 100) if round_up else share // 100
