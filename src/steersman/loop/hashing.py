"""Names made from content: pod-template-hash and its kin.

Clients treat the value as opaque; what counts is that it is stable, and that it changes with the template and with
collisionCount. So it is not upstream's FNV over a printed Go structure, only of the same alphabet and length.
"""

from __future__ import annotations

import hashlib

import orjson

from steersman.machinery.meta import Obj

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def safe_encode(text: str) -> str:
    """Each character mapped into an alphabet without vowels and look-alikes, so that no name spells a word."""
    return "".join(_ALPHABET[ord(character) % len(_ALPHABET)] for character in text)


def content_hash(content: Obj, collision_count: int | None = None) -> str:
    """At most ten characters, fit for a label value and the end of a name."""
    digest = hashlib.blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=4)
    if collision_count is not None:
        digest.update(collision_count.to_bytes(8, "little", signed=True))
    return safe_encode(str(int.from_bytes(digest.digest(), "big")))
