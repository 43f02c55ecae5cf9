"""How deep objects may be nested: what comes from outside is measured once, where it is parsed.

Upstream's decoder takes 10,000 levels. Here it is `LIMIT`, far above what anybody writes: what follows walks objects by recursive
functions, of which Python allows some 900 calls on the way of a request; orjson writes 254 levels, and around an object there may
still be a review, a list, a document of OpenAPI.
"""

from __future__ import annotations

from typing import Any

import orjson

from steersman.machinery import bulk
from steersman.machinery.errors import BadRequest

LIMIT = 200
EXCEEDED = "exceeded max depth"
_WRITABLE = 254
"""The levels that orjson writes."""


class TooDeep(ValueError):
    """JSON of more than LIMIT levels."""

    def __init__(self) -> None:
        super().__init__(EXCEEDED)


def error() -> BadRequest:
    """What a client is told."""
    return BadRequest(f"the object is nested too deeply: {EXCEEDED}")


def exceeded(value: Any) -> bool:
    """Whether a value of JSON has more than LIMIT levels, or never ends."""
    # With so many levels around it, one of LIMIT is all that can be written: the measuring is done at C speed.
    for _ in range(_WRITABLE - LIMIT):
        value = (value,)
    try:
        orjson.dumps(value)
    except TypeError:
        return True
    return False


def exceeded_in(body: bytes, value: Any) -> bool:
    """As `exceeded`, for what was parsed of a body of JSON: most bodies need no more than a count of their brackets."""
    return body.count(b"{") + body.count(b"[") > LIMIT and exceeded(value)


def loads(body: bytes, most: int = bulk.MOST_VALUES) -> Any:
    """As orjson.loads, bounded. Raises TooDeep, orjson.JSONDecodeError: both are ValueErrors; RequestEntityTooLarge."""
    bulk.check_json(body, most)
    value = orjson.loads(body)
    if exceeded_in(body, value):
        raise TooDeep
    return value
