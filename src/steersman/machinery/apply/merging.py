"""The live object with an applied configuration laid over it: scalars and atomic values replaced, maps and keyed lists merged.

Null applied over something granular that has contents leaves those be: what becomes of them is for their owners.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from steersman.machinery.apply.types import MISSING, Type, resolve


def merge(live: Any, config: Any, kind: Type) -> Any:
    """Neither is changed; the result shares parts with both. Raises KeyFault."""
    if live is MISSING:
        return config
    kind = resolve(kind, config if config is not None else live)
    if kind.leaf or (not live and not config):
        return config
    if isinstance(config, dict):
        return _merge_maps(live, config, kind) if isinstance(live, dict) else config
    if isinstance(config, list):
        return _merge_lists(live, config, kind) if isinstance(live, list) else config
    return live if config is None and isinstance(live, dict | list) else config


def _merge_maps(live: dict[str, Any], config: dict[str, Any], kind: Type) -> dict[str, Any]:
    merged = dict(live)
    for key, value in config.items():
        merged[key] = merge(live.get(key, MISSING), value, kind.of(key))
    return merged


def _merge_lists(live: list[Any], config: list[Any], kind: Type) -> list[Any]:
    """Applied items keep the order in which they are applied; an item that is only live stays before the applied one that
    followed it."""
    lived = [(kind.item(item), item) for item in live]
    applied = {kind.item(item): item for item in config}
    counts: dict[str, list[Any]] = {}
    for element, item in lived:
        counts.setdefault(element, []).append(item)
    merged: list[Any] = []

    def take(element: str) -> None:
        mine = counts.get(element, ())
        # Several live items with this key: they become the one that is applied.
        merged.append(merge(mine[0] if len(mine) == 1 else MISSING, applied[element], kind.items))

    shared = deque(element for element in applied if element in counts)
    order = deque(applied)
    for element, item in lived:
        if element not in applied:
            merged.append(item)
            continue
        # An item that both have: all that is applied before it comes first, unless another that both have comes before.
        while shared and shared[0] == element:
            first = order.popleft()
            take(first)
            if first == element:
                shared.popleft()
                break
    for element in order:
        take(element)
    return merged
