"""Values that tell whether they are whole: a tag, and a filling that only this tag can have."""

from __future__ import annotations

import hashlib

TOGETHER = "+"
"""At the end of a tag: it was written to two keys in one commit."""


def value_of(tag: str) -> bytes:
    """100 to 2,000 bytes: some of them need pages of their own."""
    digest = hashlib.sha256(tag.encode()).hexdigest()
    return f"{tag}|{digest * (2 + digest.encode()[0] % 30)}".encode()


def tag_of(value: bytes | None) -> str | None:
    """The tag of a value, "torn:…" if it is not whole, None for none."""
    if value is None:
        return None
    tag = value.partition(b"|")[0].decode(errors="replace")
    return tag if value == value_of(tag) else f"torn:{hashlib.sha256(value).hexdigest()}"
