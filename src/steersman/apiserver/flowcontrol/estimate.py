"""How many seats a request needs: lists, and watches that begin with one, as many as they are large; all else one. Pure.

Source: upstream util/flowcontrol/request/list_work_estimator.go, with SizeBasedListCostEstimate (KEP-1040). A seat is 100 KB that
the answer needs in memory at once; an answer out of the cache is streamed and never needs more than 1 MB.
What is not here: writes cost no more for those who watch, as an event is encoded once for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

LIST_SEATS = 100
_BYTES_PER_SEAT = 100_000
_STREAMED_BYTES = 1_000_000
_SHARE_OF_LEVEL = 0.15


def most_seats(nominal: int) -> int:
    """What one request may have of a level with so many seats."""
    return min(LIST_SEATS, max(1, math.ceil(nominal * _SHARE_OF_LEVEL)))


def seats_of_list(query: Sequence[tuple[str, str]], *, watch: bool, named: bool, count: int, bytes_each: int, most: int) -> int:
    """Of a list or watch. `count` objects of the kind are stored, of `bytes_each` on average; `named`: only one is asked for."""
    if not query:
        options = {}
    else:
        options = dict(reversed(query))
        if watch and options.get("sendInitialEvents", "").lower() not in ("true", "1"):
            return 1
    limit = options.get("limit", "")
    if limit and not limit.isdecimal():
        return most
    wanted = min(count, int(limit)) if limit and int(limit) else count
    from_cache = watch or _from_cache(options)
    if named:
        wanted = 1
    elif not from_cache and (options.get("labelSelector") or options.get("fieldSelector")):
        wanted = max(wanted, count // 2)
    size = wanted * bytes_each
    if from_cache:
        size = min(size, _STREAMED_BYTES)
    return min(most, max(1, math.ceil(size / _BYTES_PER_SEAT)))


def _from_cache(options: dict[str, str]) -> bool:
    """Whether such a list is answered without the store's history (handlers/read.py)."""
    if options.get("continue"):
        return False
    version, match = options.get("resourceVersion", ""), options.get("resourceVersionMatch", "")
    return version in ("", "0") or (match != "Exact" and (bool(match) or not options.get("limit")))
