"""Strategies of the groups with one or two small kinds: coordination, discovery, scheduling."""

from __future__ import annotations

from steersman.api.equality import same
from steersman.api.kinds import Strategy
from steersman.api.strategies.common import carry_generation, first_generation, keep_generation
from steersman.machinery.meta import Obj, labels_of


def _update_endpoint_slice(new: Obj, old: Obj) -> None:
    """Generation counts label changes and everything outside metadata."""
    changed = labels_of(new) != labels_of(old) or any(
        not same(new.get(key), old.get(key)) for key in (new.keys() | old.keys()) - {"metadata", "kind", "apiVersion"}
    )
    carry_generation(new, old, changed)


LEASE = Strategy(prepare_update=keep_generation, create_on_update=True, unconditional_update=False)
ENDPOINT_SLICE = Strategy(prepare_create=first_generation, prepare_update=_update_endpoint_slice)
PRIORITY_CLASS = Strategy(prepare_create=first_generation, prepare_update=keep_generation)
