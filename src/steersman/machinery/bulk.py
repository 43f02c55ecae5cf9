"""How many values objects may have: small ones, `{}` a million times, fit into any limit of bytes, and each is work.

What comes from outside is counted where it is parsed, like its depth (depth.py).
"""

from __future__ import annotations

import re
from typing import Final

from steersman.machinery.errors import RequestEntityTooLarge

MOST_VALUES: Final = 150_000
"""In a request body. The largest definitions and reports that people keep in objects have some 30,000."""
MOST_STORED: Final = 3 * MOST_VALUES
"""In what patches make of an object, with who owns what in it."""
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"')


def error(most: int) -> RequestEntityTooLarge:
    return RequestEntityTooLarge(f"Request entity too large: limit is {most} values")


def check_json(body: bytes, most: int = MOST_VALUES) -> None:
    """Raises RequestEntityTooLarge. Texts may have any number of commas."""
    if _marks(body) > most and _marks(_TEXT.sub(b"", body)) > most:
        raise error(most)


def _marks(body: bytes) -> int:
    return body.count(b",") + body.count(b"{") + body.count(b"[")
