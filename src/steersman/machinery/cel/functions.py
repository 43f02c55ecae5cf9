"""Overloads of functions: what the checker resolves to, what runs, what it costs. Libraries are tuples of these.

A signature is written as upstream's documents write them: `string.contains(string) -> bool`, `size(list(A)) -> int`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from steersman.machinery.cel import types
from steersman.machinery.cel.types import Type

_SHORT = {
    "dyn": types.DYN,
    "bool": types.BOOL,
    "int": types.INT,
    "uint": types.UINT,
    "double": types.DOUBLE,
    "string": types.STRING,
    "bytes": types.BYTES,
    "null": types.NULL,
    "timestamp": types.TIMESTAMP,
    "duration": types.DURATION,
    "ip": types.IP,
    "cidr": types.CIDR,
    "url": types.URL,
    "quantity": types.QUANTITY,
    "semver": types.SEMVER,
    "format": types.FORMAT,
}
_WORD = re.compile(r"\s*([A-Za-z_]\w*)")
_SIGNATURE = re.compile(r"(?:(?P<target>[a-z]+(?:\(.*?\))?)\.)?(?P<rest>\((?P<params>.*)\)) -> (?P<result>.+)")


@dataclass(frozen=True, slots=True, eq=False)
class Overload:
    """name: of the function. member: the first of `params` stands before a dot. cost: its entry in cost/."""

    name: str
    member: bool
    params: tuple[Type, ...]
    result: Type
    run: Callable[..., Any]
    cost: str = ""
    """Empty: 1."""
    searches: bool = False
    """Whether `run` takes a re2.Allowance after its arguments, which pays for the work that no cost tells of."""
    literal: Callable[..., str | None] | None = None
    """What is wrong with arguments that are literals, told when the expression is compiled."""

    @property
    def has_params(self) -> bool:
        """Whether its types have parameters."""
        return any(_open(item) for item in (*self.params, self.result))


def overload(name: str, signature: str, run: Callable[..., Any], cost: str = "", **more: Any) -> Overload:
    """`overload("contains", "string.(string) -> bool", ...)`: what is before the dot is the target."""
    found = _SIGNATURE.fullmatch(signature)
    if found is None:
        raise ValueError(f"{name}: {signature}")
    target = [_parse(found["target"])] if found["target"] else []
    return Overload(name, bool(target), (*target, *_parse_all(found["params"])), _parse(found["result"]), run, cost, **more)


def _open(item: Type) -> bool:
    return item.kind == "param" or any(map(_open, item.params))


def _parse(text: str) -> Type:
    found = _parse_all(text)
    if len(found) != 1:
        raise ValueError(text)
    return found[0]


def _parse_all(text: str) -> list[Type]:
    parts: list[str] = []
    depth = start = 0
    for place, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and not depth:
            parts.append(text[start:place])
            start = place + 1
    parts.append(text[start:])
    return [_one(part.strip()) for part in parts if part.strip()]


def _one(text: str) -> Type:
    name, opened, inner = text.partition("(")
    if not opened:
        return types.param(name) if len(name) == 1 else types.TYPE if name == "type" else _SHORT[name]
    params = _parse_all(inner[:-1])
    if name == "optional":
        return types.optional_of(params[0])
    if name == "map":
        return types.map_of(*params)
    return types.list_of(params[0]) if name == "list" else types.type_of(params[0])
