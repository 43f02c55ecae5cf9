"""Finding a cloud provider by name: installed packages offer theirs as entry points of the group `steersman.cloud_providers`."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import cast

from steersman.cloud.interface import Factory, ProviderError

GROUP = "steersman.cloud_providers"
LOCAL = "local"
"""The built-in one (cloud.local), which is made with options of its own and not from here."""


def find(name: str) -> Factory:
    """The factory of an installed provider. Raises ProviderError, which names those there are."""
    offered = {point.name: point for point in entry_points(group=GROUP)}
    if name not in offered:
        known = ", ".join(sorted({LOCAL, *offered}))
        raise ProviderError(f"unknown cloud provider {name!r}; there are: {known}")
    return cast(Factory, offered[name].load())
