"""PatientTransport: does as it is told by a server that is too busy (429, or 5xx with Retry-After): waits, and asks again.

As client-go has it: any verb, since such an answer says that nothing was done. Streams are not asked for again: those who
watch have a backoff of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from steersman.client.interface import Answer, StreamAnswer, Transport
from steersman.machinery.clock import Clock

TRIES = 10
"""After the first."""


class PatientTransport:
    """Around another transport."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport, self._clock = transport, clock

    async def request(self, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
        answer = await self._transport.request(method, target, headers=headers, body=body)
        for _ in range(TRIES):
            wait_s = _asked_to_wait(answer)
            if wait_s is None:
                break
            await self._clock.sleep(wait_s)
            answer = await self._transport.request(method, target, headers=headers, body=body)
        return answer

    def stream(
        self, method: str, target: str, *, headers: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[StreamAnswer]:
        return self._transport.stream(method, target, headers=headers)

    async def close(self) -> None:
        await self._transport.close()


def _asked_to_wait(answer: Answer) -> int | None:
    if answer.status != 429 and not 500 <= answer.status < 600:
        return None
    text = answer.headers.get("retry-after", "")
    return int(text) if text.isdecimal() else None
