"""Shuffle sharding: a flow is dealt a few of a level's queues by its hash, so that two flows seldom share all of theirs. Pure.

Source: KEP-1040; upstream util/shufflesharding. A flow that fills its queues leaves nearly every other flow one that is short.
"""

from __future__ import annotations

import hashlib


def hand(schema: str, distinguisher: str, queues: int, size: int) -> tuple[int, ...]:
    """`size` different queues out of `queues`, every such hand as likely as any other."""
    entropy = int.from_bytes(hashlib.sha256(f"{schema}\0{distinguisher}".encode()).digest()[:8], "big")
    dealt: list[int] = []
    for taken in range(size):
        entropy, card = divmod(entropy, queues - taken)
        # The card-th of those that are left: cards dealt before are stepped over, lowest first.
        for before in sorted(dealt):
            if card >= before:
                card += 1
        dealt.append(card)
    return tuple(dealt)
