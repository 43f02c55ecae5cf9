"""A webhook named by a kubeconfig: an object is posted to it, an object comes back.

Source: upstream apiserver/pkg/util/webhook. It is tried again when it cannot be reached or is not well, with growing pauses. Each
call has a connection of its own: answers are remembered by who asks, so there are few.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import orjson

from steersman.apiserver import outbound
from steersman.apiserver.config import ConfigError
from steersman.apiserver.outbound import Unreachable
from steersman.client import kubeconfig
from steersman.client.http import make_ssl_context
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj

_TRIES, _PAUSE_S, _GROWTH = 5, 0.5, 1.5


class Webhook:
    """`post` may be called at any time, from any task."""

    def __init__(self, config_file: Path, clock: Clock, *, timeout_s: float = 30.0) -> None:
        """Raises ConfigError."""
        if not config_file.is_file():
            raise ConfigError(f"{config_file}: no such file")
        try:
            self._connection = kubeconfig.connection(config_file)
            self._tls = self._tls_context()
        except (ValueError, OSError) as fault:
            raise ConfigError(f"{config_file}: {fault}") from fault
        self._clock, self._timeout_s = clock, timeout_s

    async def post(self, obj: Obj) -> Obj:
        """What it answered. Raises Unreachable."""
        pause_s = _PAUSE_S
        for _ in range(_TRIES - 1):
            try:
                return await self._once(obj)
            except _Passing:
                await self._clock.sleep(pause_s)
                pause_s *= _GROWTH
        return await self._once(obj)

    async def _once(self, obj: Obj) -> Obj:
        url = self._connection.server
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        file = self._connection.token_file
        token = file.read_text().strip() if file is not None else self._connection.token
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            answer = await outbound.fetch(
                "POST", url, self._tls, timeout_s=self._timeout_s, headers=headers, body=orjson.dumps(obj)
            )
        except Unreachable as fault:
            raise _Passing(str(fault)) from fault
        if answer.status == 429 or answer.status >= 500:
            raise _Passing(f"{url}: status {answer.status}")
        if answer.status not in (200, 201):
            raise Unreachable(f"{url}: status {answer.status}")
        try:
            found = orjson.loads(answer.body)
        except orjson.JSONDecodeError as fault:
            raise Unreachable(f"{url}: {fault}") from fault
        if not isinstance(found, dict):
            raise Unreachable(f"{url}: no JSON object")
        return found

    def _tls_context(self) -> ssl.SSLContext:
        made = self._connection
        return make_ssl_context(made.ca, made.cert, made.key, insecure=made.insecure)


class _Passing(Unreachable):
    """It may be better the next time."""
