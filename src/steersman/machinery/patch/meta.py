"""What strategic merge patch needs to know of a kind's fields: which maps and lists merge, and by which key."""

from __future__ import annotations

from typing import Protocol


class PatchMeta(Protocol):
    """Metadata of one value: a whole object, a field, a list element.

    strategy: of `x-kubernetes-patch-strategy`: any of `merge`, `replace`, `retainKeys`; empty when none is set.
    merge_key: of `x-kubernetes-patch-merge-key`, for keyed lists.
    """

    @property
    def strategy(self) -> frozenset[str]: ...

    @property
    def merge_key(self) -> str: ...

    @property
    def is_list(self) -> bool: ...

    def field(self, name: str) -> PatchMeta | None:
        """Metadata of a member; None where nothing is known, which then merges as maps and replaces as lists."""

    def items(self) -> PatchMeta | None:
        """Metadata of a list's elements."""
