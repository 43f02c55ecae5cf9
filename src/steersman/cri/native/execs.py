"""Commands run in a live container: `crun exec` (or runc) with our pipes or our pseudo-terminal as its stdio.

The runtime's exec process waits for the command and passes its exit code on. It is killed with the command when the session is
let go.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import secrets
import signal
import struct
import termios
import tty as terminals
from collections.abc import Awaitable, Callable, Sequence

import orjson

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import ExecResult
from steersman.cri.native import procs
from steersman.cri.native.oci import OciRuntime
from steersman.cri.native.waiting import within
from steersman.machinery import programs
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj

_NOTHING_SAID = re.compile(rb"(?:\x1b\[[\d;]*m)?\S+Z:\s*(?:\x1b\[0m)?")
"""crun's prefix, alone."""
_SYNC_LIMIT = 16 << 20
"""What exec_sync returns of each stream at most, as in containerd."""
_KILL_ROUNDS, _KILL_ROUND_S = 20, 0.05
_DRAIN_S = 2.0
"""How long output is still read after the command has ended: something it left in the background may hold the pipe for ever."""


class ByteReader:
    """Reads from a pipe or a terminal with back-pressure: nothing is read that nobody asked for. Owns the fd."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd

    async def read(self) -> bytes | None:
        """The next piece; None at the end."""
        while self._fd >= 0:
            try:
                return os.read(self._fd, 65536) or None
            except BlockingIOError:
                await programs.readable(self._fd)
            except OSError:  # EIO: the last process with the terminal is gone
                return None
        return None

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class ByteWriter:
    """Writes all of what it is given, waiting while the other side is slow. Owns the fd."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd

    async def write(self, data: bytes) -> None:
        """Writing to a command that has closed its input is no error: the data is dropped."""
        view = memoryview(data)
        while view and self._fd >= 0:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:
                await _writable(self._fd)
            except OSError:
                return

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


async def _writable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(fd, programs.settle, ready)
    try:
        await ready
    finally:
        loop.remove_writer(fd)


class ExecTerminal:
    """interface.Terminal of one command."""

    def __init__(
        self,
        child: programs.Child,
        clock: Clock,
        spec: str,
        stdin: ByteWriter | None,
        stdout: ByteReader,
        stderr: ByteReader | None,
    ) -> None:
        self._child = child
        self._clock = clock
        self._complaints: ByteReader | None = None
        """With a terminal: what the OCI runtime itself has to say."""
        self._spec = spec
        """The command's spec file: removed with the session."""
        self._stdin, self._stdout, self._stderr = stdin, stdout, stderr
        self._terminal = -1

    @classmethod
    def with_terminal(cls, child: programs.Child, clock: Clock, spec: str, master: int, complaints: int) -> ExecTerminal:
        """A session whose three streams are one pseudo-terminal."""
        session = cls(child, clock, spec, ByteWriter(os.dup(master)), ByteReader(os.dup(master)), None)
        session._terminal = master
        session._complaints = ByteReader(complaints)
        return session

    async def read_stdout(self) -> bytes | None:
        data = await self._stdout.read()
        if data is None and self._complaints is not None:
            # After the command's own output, that there was no command for one.
            said = bytearray()
            while (piece := await self._complaints.read()) is not None:
                said += piece
            self._complaints.close()
            self._complaints = None
            return _worth_telling(bytes(said)) or None
        return data

    async def read_stderr(self) -> bytes | None:
        return await self._stderr.read() if self._stderr else None

    async def write_stdin(self, data: bytes) -> None:
        if self._stdin:
            await self._stdin.write(data)

    async def close_stdin(self) -> None:
        if self._stdin and self._terminal >= 0:
            await self._stdin.write(b"\x04")  # a terminal has no other end of input
        elif self._stdin:
            self._stdin.close()

    async def resize(self, width: int, height: int) -> None:
        if self._terminal >= 0:
            fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
            self._child.signal(signal.SIGWINCH)

    async def wait(self) -> int:
        return await self._child.wait()

    async def close(self) -> None:
        """Kill the command if it still runs, and let go of everything."""
        await self._kill()
        for stream in (self._stdin, self._stdout, self._stderr, self._complaints):
            if stream:
                stream.close()
        if self._terminal >= 0:
            os.close(self._terminal)
            self._terminal = -1
        try:
            os.unlink(self._spec)
        except FileNotFoundError:
            pass

    async def _kill(self) -> None:
        # What the runtime's exec process started is killed, not itself: it then collects the command and ends. The command as
        # an orphan zombie,
        # left to the machine's first process, would keep the container's PID namespace, hence a stop of the container, from
        # ending.
        for _ in range(_KILL_ROUNDS):
            if not self._child.running:
                return
            for process in procs.descendants(self._child.pid):
                procs.send(process, signal.SIGKILL)
            try:
                await within(self._clock, _KILL_ROUND_S, self._child.wait())
            except TimeoutError:
                continue
        if self._child.running:
            self._child.kill()


def exec_process(bundle: str, command: Sequence[str], *, tty: bool) -> Obj:
    """The OCI process of a command: the container's own (user, environment, capabilities) with other arguments."""
    with open(f"{bundle}/config.json", "rb") as file:
        process: Obj = orjson.loads(file.read())["process"]
    env = [*process["env"], *(["TERM=xterm"] if tty and not any(entry.startswith("TERM=") for entry in process["env"]) else [])]
    return {**process, "args": list(command), "terminal": tty, "env": env}


def start_exec(
    oci: OciRuntime, clock: Clock, container_id: str, process: Obj, bundle: str, *, tty: bool, stdin: bool
) -> ExecTerminal:
    """Start a command in a running container. `process` is an OCI process. Failures show as stderr and exit code of the
    session."""
    spec = f"{bundle}/exec-{secrets.token_hex(8)}.json"
    try:
        with open(spec, "wb") as file:
            file.write(orjson.dumps(process))
        argv = oci.command("exec", "--process", spec, *(["--tty"] if tty else []), container_id)
        return _with_pty(argv, clock, spec) if tty else _with_pipes(argv, clock, spec, stdin=stdin)
    except OSError as error:
        raise RuntimeFault(f"cannot exec in container {container_id}: {error}") from error


def _with_pipes(argv: Sequence[str], clock: Clock, spec: str, *, stdin: bool) -> ExecTerminal:
    pairs = [os.pipe2(os.O_CLOEXEC) for _ in range(3)]
    (in_read, in_write), (out_read, out_write), (err_read, err_write) = pairs
    try:
        child = programs.Child(programs.spawn(argv, stdin=in_read, stdout=out_write, stderr=err_write))
    except OSError:
        for fd in (in_write, out_read, err_read):
            os.close(fd)
        raise
    finally:
        for fd in (in_read, out_write, err_write):
            os.close(fd)
    writer = ByteWriter(in_write)
    if not stdin:
        writer.close()
    return ExecTerminal(child, clock, spec, writer if stdin else None, ByteReader(out_read), ByteReader(err_read))


def _with_pty(argv: Sequence[str], clock: Clock, spec: str) -> ExecTerminal:
    master, slave = os.openpty()
    terminals.setraw(slave)  # ours only passes bytes on: echo and line editing are the inner terminal's, which the runtime makes
    # Not the terminal: crun complains of nothing in between, when a command is over before it has looked.
    said, complain = os.pipe2(os.O_CLOEXEC)
    try:
        child = programs.Child(programs.spawn(argv, stdin=slave, stdout=slave, stderr=complain))
    except OSError:
        os.close(master)
        os.close(said)
        raise
    finally:
        os.close(slave)
        os.close(complain)
    return ExecTerminal.with_terminal(child, clock, spec, master, said)


def _worth_telling(said: bytes) -> bytes:
    """What a runtime complained of, without lines that consist of a time; for a terminal, which wants its lines ended by both."""
    lines = [line for line in said.splitlines() if line.strip() and not _NOTHING_SAID.fullmatch(line)]
    return b"".join(line + b"\r\n" for line in lines)


async def exec_to_end(session: ExecTerminal, clock: Clock, timeout_s: float) -> ExecResult:
    """Run a session to its end and collect its output. Raises RuntimeFault(reason='DeadlineExceeded')."""
    out, err = bytearray(), bytearray()

    async def collect() -> int:
        async with asyncio.TaskGroup() as group:
            reading = {group.create_task(_gather(session.read_stdout, out)), group.create_task(_gather(session.read_stderr, err))}
            code = await session.wait()
            timer = group.create_task(clock.sleep(_DRAIN_S))
            while reading and not timer.done():
                await asyncio.wait({*reading, timer}, return_when=asyncio.FIRST_COMPLETED)
                reading = {task for task in reading if not task.done()}
            for task in (*reading, timer):
                task.cancel()
        return code

    try:
        code = await within(clock, timeout_s, collect())
    except TimeoutError as error:
        raise RuntimeFault(f"command timed out after {timeout_s:g}s", reason="DeadlineExceeded") from error
    finally:
        await session.close()
    return ExecResult(bytes(out), bytes(err), code)


async def _gather(read: Callable[[], Awaitable[bytes | None]], into: bytearray) -> None:
    while (data := await read()) is not None:
        into += data[: max(0, _SYNC_LIMIT - len(into))]
