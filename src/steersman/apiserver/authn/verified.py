"""What authenticators of bearer tokens have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from steersman.apiserver.contracts import UserInfo

NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Verified:
    """A token that stands. `audiences` are the asked ones it was made for; `expires` is wall time."""

    user: UserInfo
    audiences: tuple[str, ...]
    expires: datetime = NEVER
    stands: Callable[[], bool] | None = None
    """Asked each time a remembered token is used: whether what it depends on is still there. Must be fast."""


class TokenAuthenticator(Protocol):
    async def verify(self, token: str, audiences: tuple[str, ...]) -> Verified | None:
        """None: not a token of this kind. InvalidToken: of this kind, but not to be accepted, or not for these audiences."""


def shared(audiences: tuple[str, ...], own: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the asked audiences that a token which names none is good for: the server's own."""
    return tuple(audience for audience in audiences if audience in own)
