"""exec, attach and port-forward on simulated containers, as streams."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from steersman.cri.messages import ExecResult
from steersman.cri.simulated.logs import LogFile
from steersman.cri.simulated.program import Process
from steersman.cri.simulated.script import execute


class Executed:
    """A command's Terminal: its whole output at once, when it has ended. What is typed goes nowhere."""

    def __init__(self, process: Process, command: Sequence[str]) -> None:
        self._process, self._command = process, command
        self._lock = asyncio.Lock()
        self._result: ExecResult | None = None
        self._read: set[str] = set()

    async def _done(self) -> ExecResult:
        async with self._lock:
            if self._result is None:
                self._result = await execute(self._process, self._command)
        return self._result

    async def read_stdout(self) -> bytes | None:
        return self._once("stdout", (await self._done()).stdout)

    async def read_stderr(self) -> bytes | None:
        return self._once("stderr", (await self._done()).stderr)

    def _once(self, stream: str, output: bytes) -> bytes | None:
        if stream in self._read:
            return None
        self._read.add(stream)
        return output or None

    async def write_stdin(self, data: bytes) -> None: ...
    async def close_stdin(self) -> None: ...
    async def resize(self, width: int, height: int) -> None: ...

    async def wait(self) -> int:
        return (await self._done()).exit_code

    async def close(self) -> None: ...


class Attached:
    """A container's Terminal: what it logs from now on, until it ends."""

    def __init__(self, log: LogFile, ended: asyncio.Event, exit_code: Callable[[], int]) -> None:
        self._log, self._ended, self._exit_code = log, ended, exit_code
        self._output: dict[str, asyncio.Queue[bytes | None]] = {"stdout": asyncio.Queue(), "stderr": asyncio.Queue()}
        log.listeners.append(self._listen)

    def _listen(self, stream: str, data: bytes | None) -> None:
        self._output[stream].put_nowait(data)

    async def read_stdout(self) -> bytes | None:
        return await self._output["stdout"].get()

    async def read_stderr(self) -> bytes | None:
        return await self._output["stderr"].get()

    async def write_stdin(self, data: bytes) -> None: ...
    async def close_stdin(self) -> None: ...
    async def resize(self, width: int, height: int) -> None: ...

    async def wait(self) -> int:
        await self._ended.wait()
        return self._exit_code()

    async def close(self) -> None:
        if self._listen in self._log.listeners:
            self._log.listeners.remove(self._listen)


class Forwarded:
    """A Tunnel to a program that answers each HTTP request with its status and one line, and then closes."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._request = b""
        self._answered = False
        self._news = asyncio.Event()
        self._closed = False

    async def read(self) -> bytes:
        if self._answered:
            return b""
        while b"\r\n\r\n" not in self._request and not self._closed:
            self._news.clear()
            await self._news.wait()
        self._answered = True
        words = self._request.split(b" ", 2)
        if len(words) < 3:
            return b""
        status = self._process.on_http(words[1].decode()) if self._process.on_http is not None else 200
        text = f"{self._process.sandbox.name} {words[1].decode()}\n"
        head = (
            f"HTTP/1.1 {status} Simulated\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
        )
        return (head + text).encode()

    async def write(self, data: bytes) -> None:
        self._request += data
        self._news.set()

    async def close_write(self) -> None:
        self._closed = True
        self._news.set()

    async def close(self) -> None:
        await self.close_write()
