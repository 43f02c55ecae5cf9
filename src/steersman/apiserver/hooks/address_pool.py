"""A range of numbers (addresses, ports) handed out one by one, each held by a key in the store.

Holding is a guard "this key must not exist" and a put, both in the commit of the object that gets the number: two API servers
can't give out the same one, and nothing leaks when the write fails. Reading here only finds a number worth trying.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from steersman.store.interface import Delete, Guard, Put, Store

_PROBES = 8


class Taken(Exception):
    """Somebody holds the number asked for."""


class Exhausted(Exception):
    """Nothing is free."""


class Pool:
    """Numbers first..last. The lowest `static` of them are given out by themselves only when the others are used up."""

    def __init__(
        self, store: Store, prefix: str, first: int, last: int, static: int, text: Callable[[int], str], rng: random.Random
    ) -> None:
        self._store, self._prefix, self._text, self._rng = store, prefix, text, rng
        self.first, self.last = first, last
        self._dynamic = min(first + static, last + 1)

    def key(self, number: int) -> str:
        return self._prefix + self._text(number)

    async def claim(self, number: int) -> None:
        """Raises Taken if the number is held now. It is yours only when the commit with its guard went through."""
        entry, _ = await self._store.get(self.key(number))
        if entry is not None:
            raise Taken

    async def pick(self, mine: set[int]) -> int:
        """A free number not in `mine` (those of the same write). Raises Exhausted."""
        if self._dynamic <= self.last:
            for _ in range(_PROBES):
                number = self._rng.randint(self._dynamic, self.last)
                if number not in mine and (await self._store.get(self.key(number)))[0] is None:
                    return number
        # The range is well used: look at all of it, the static part last.
        held = {entry.key for entry in (await self._store.range(self._prefix)).entries}
        for low, high in ((self._dynamic, self.last), (self.first, self._dynamic - 1)):
            free = [number for number in range(low, high + 1) if number not in mine and self.key(number) not in held]
            if free:
                return self._rng.choice(free)
        raise Exhausted


class Transfer:
    """The guards and operations of one write: numbers that come to the object and numbers that it gives back."""

    def __init__(self, owner: str) -> None:
        self._owner = owner.encode()
        self.guards: list[Guard] = []
        self.ops: list[Put | Delete] = []

    def hold(self, key: str, value: bytes = b"") -> None:
        """value: what lies there; if it says nothing, who holds it."""
        self.guards.append(Guard(key, 0))
        self.ops.append(Put(key, value or self._owner))

    def release(self, key: str) -> None:
        self.ops.append(Delete(key))


def band(size: int, divisor: int, at_most: int) -> int:
    """How many of the lowest numbers are kept for those who ask for a certain one; none in ranges too small to divide."""
    return 0 if size < 16 else min(max(16, size // divisor), at_most)
