"""exec, attach and port-forward as a runtime's streaming server serves them: the streams of a session, and how it ends.

Source: upstream k8s.io/apimachinery/pkg/util/remotecommand (v4.channel.k8s.io), client-go/tools/portforward.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from steersman.cri.interface import RuntimeFault
from steersman.cri.remote.spdyclient import ClientStream, Session

COMMAND_PROTOCOLS = ("v4.channel.k8s.io",)
FORWARD_PROTOCOLS = ("portforward.k8s.io",)
_END_OF_INPUT = b"\x04"


class RemoteTerminal:
    """interface.Terminal. `wait_exit`: the exit code that the session's own end does not tell (attach)."""

    def __init__(
        self, session: Session, *, tty: bool, stdin: bool, wait_exit: Callable[[], Awaitable[int]] | None = None
    ) -> None:
        self._session, self._tty, self._wait_exit = session, tty, wait_exit

        def stream(kind: str) -> ClientStream:
            return session.open({"streamtype": kind})

        self._error = stream("error")
        self._stdin = stream("stdin") if stdin else None
        self._stdout = stream("stdout")
        self._stderr = None if tty else stream("stderr")
        self._resize = stream("resize") if tty else None

    async def read_stdout(self) -> bytes | None:
        return await self._stdout.read()

    async def read_stderr(self) -> bytes | None:
        return await self._stderr.read() if self._stderr else None

    async def write_stdin(self, data: bytes) -> None:
        if self._stdin:
            await self._stdin.write(data)

    async def close_stdin(self) -> None:
        if self._stdin and self._tty:
            await self._stdin.write(_END_OF_INPUT)  # a terminal has no other end of input
        elif self._stdin:
            await self._stdin.close_write()

    async def resize(self, width: int, height: int) -> None:
        if self._resize:
            await self._resize.write(orjson.dumps({"Width": width, "Height": height}))

    async def wait(self) -> int:
        code = exit_code(await self._error.read_all())
        return await self._wait_exit() if self._wait_exit else code

    async def close(self) -> None:
        self._session.close()


class RemoteTunnel:
    """interface.Tunnel. What goes wrong on the pod's side is raised by `read`."""

    def __init__(self, session: Session, port: int) -> None:
        self._session = session
        shared = {"port": str(port), "requestid": "0"}
        self._error = session.open({"streamtype": "error", **shared})
        self._data = session.open({"streamtype": "data", **shared})
        self._port = port

    async def read(self) -> bytes:
        piece = await self._data.read()
        if piece is not None:
            return piece
        # The server ends the error stream first: whatever it says has arrived.
        if told := await self._error.read_all():
            raise RuntimeFault(f"failed to connect to port {self._port} inside the pod: {told.decode(errors='replace').strip()}")
        return b""

    async def write(self, data: bytes) -> None:
        await self._data.write(data)

    async def close_write(self) -> None:
        await self._data.close_write()

    async def close(self) -> None:
        self._session.close()


def exit_code(status: bytes) -> int:
    """Of the metav1.Status that ends a session. Raises RuntimeFault if it tells of something else than an exit."""
    if not status:
        raise RuntimeFault("the connection to the container runtime ended before the command did")
    try:
        told: Any = orjson.loads(status)
        if told.get("status") == "Success":
            return 0
        causes = (told.get("details") or {}).get("causes") or ()
        for cause in causes:
            if told.get("reason") == "NonZeroExitCode" and cause.get("reason") == "ExitCode":
                return int(cause["message"])
        raise RuntimeFault(str(told.get("message") or "the container runtime told of a failure without a reason"))
    except (ValueError, AttributeError, KeyError) as error:
        raise RuntimeFault(f"the container runtime ended the command with {status[:200]!r}") from error
