"""systemd-logind as the one who tells of shutdowns and waits: an inhibitor lock and a signal, over D-Bus.

D-Bus is the optional library dbus-fast's; importing this raises ImportError without it.
Source: upstream pkg/kubelet/nodeshutdown/systemd, systemd's org.freedesktop.login1(5).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from typing import Any, cast

from dbus_fast import BusType, DBusError, Message, MessageType
from dbus_fast.aio import MessageBus

from steersman.kubelet.shutdown.manager import Unavailable

log = logging.getLogger(__name__)

NAME, PATH, MANAGER = "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"
_BUS = "org.freedesktop.DBus"
_NO_REPLY = "org.freedesktop.DBus.Error.NoReply"
_SIGNAL = "PrepareForShutdown"
_RULE = f"type='signal',sender='{NAME}',interface='{MANAGER}',member='{_SIGNAL}',path='{PATH}'"
_ANSWER_S = 10.0
_MICRO = 1_000_000


class Logind:
    """A `Notice`. `address`: of another bus than the system's."""

    def __init__(self, address: str = "") -> None:
        self._address = address
        self._bus: MessageBus | None = None
        self._lock: int | None = None
        self._news: asyncio.Queue[bool | None] = asyncio.Queue()

    async def hold(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._hold(seconds)
        except (OSError, DBusError, TimeoutError, EOFError) as error:
            raise Unavailable(f"no systemd-logind: {str(error) or type(error).__name__}") from None

    async def _hold(self, seconds: float) -> None:
        bus = self._bus
        if bus is None:
            kind = {"bus_address": self._address} if self._address else {"bus_type": BusType.SYSTEM}
            bus = self._bus = await MessageBus(negotiate_unix_fd=True, **kind).connect()
            bus.add_message_handler(self._heard)
            await self._call(bus, _BUS, "/org/freedesktop/DBus", _BUS, "AddMatch", "s", [_RULE])
        if self._lock is None:
            why = ["shutdown", "kubelet", "Kubelet needs time to handle node shutdown", "delay"]
            answer = await self._call(bus, NAME, PATH, MANAGER, "Inhibit", "ssss", why)
            self._lock = answer.unix_fds[answer.body[0]]
        got = await self._call(bus, NAME, PATH, "org.freedesktop.DBus.Properties", "Get", "ss", [MANAGER, "InhibitDelayMaxUSec"])
        patience_s = got.body[0].value / _MICRO
        if patience_s < seconds:
            # Upstream writes that file itself. Here the machine's settings are its owner's.
            log.warning(
                "logind waits for less long than pods may take: set InhibitDelayMaxSec in logind.conf seconds=%g pods=%g",
                patience_s,
                seconds,
            )

    @staticmethod
    async def _call(
        bus: MessageBus, name: str, path: str, interface: str, member: str, signature: str, body: list[Any]
    ) -> Message:
        """Raises DBusError."""
        asked = Message(destination=name, path=path, interface=interface, member=member, signature=signature, body=body)
        answer = await bus.call(asked)
        if answer is None or answer.message_type is MessageType.ERROR:
            error = answer.error_name if answer is not None else None
            raise DBusError(error or _NO_REPLY, str(answer.body[0]) if answer is not None and answer.body else "no answer")
        return answer

    def _heard(self, message: Message) -> None:
        if message.message_type is MessageType.SIGNAL and (message.interface, message.member) == (MANAGER, _SIGNAL):
            self._news.put_nowait(bool(message.body[0]))

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def shutdowns(self) -> AsyncIterator[bool]:
        bus = self._bus
        if bus is None:
            raise Unavailable("not connected to logind")
        async with asyncio.TaskGroup() as group:
            gone = group.create_task(self._gone(bus))
            try:
                while (found := await self._news.get()) is not None:
                    yield found
            finally:
                gone.cancel()
        raise Unavailable("the connection to logind was lost")

    async def _gone(self, bus: MessageBus) -> None:
        """Say when the bus is."""
        try:
            # The library has no types for this one.
            await cast(Any, bus).wait_for_disconnect()
        except (OSError, EOFError) as error:
            log.info("bus lost error=%s", error)
        self._news.put_nowait(None)

    async def close(self) -> None:
        self.release()
        if self._bus is not None:
            self._bus.disconnect()
            self._bus = None
