"""The two programs below us: the OCI runtime (crun or runc) and conmon, which holds a container's stdio and its exit code.

conmon forks away from us and lives as long as its container; it writes the CRI log, serves the attach socket, reads the `ctl`
FIFO, and leaves
`exits/<id>` with the exit code. Source: conmon(8), its ctl.c and conn_sock.c; OCI runtime command line.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from dataclasses import dataclass

from steersman.cri.interface import RuntimeFault
from steersman.cri.native import strays
from steersman.cri.native.layout import Layout
from steersman.cri.native.procs import ProcessId, alive, identify
from steersman.machinery.programs import Child, Outcome, readable, run, spawn

_RESIZE, _REOPEN_LOGS = 1, 2


@dataclass(frozen=True, slots=True)
class Started:
    """A created container: its first process (not yet running the program), and conmon."""

    process: ProcessId
    conmon: ProcessId | None


class OciRuntime:
    """Calls to one OCI runtime and to conmon. Every failure is a RuntimeFault with the program's own words."""

    def __init__(self, layout: Layout, runtime: str = "crun", conmon: str = "conmon") -> None:
        self._layout = layout
        self.name = os.path.basename(runtime)
        self._wanted = {"runtime": runtime, "conmon": conmon}
        path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin", "/sbin"])
        self.program = shutil.which(runtime, path=path) or ""
        self._conmon = shutil.which(conmon, path=path) or ""
        self._global = [f"--root={layout.runtime_state}"]
        if self.name == "crun":
            self._global.append("--cgroup-manager=cgroupfs")

    def missing(self) -> str:
        """Why containers cannot be started, "" if they can."""
        absent = [self._wanted[kind] for kind, found in (("runtime", self.program), ("conmon", self._conmon)) if not found]
        return f"not installed: {', '.join(absent)}" if absent else ""

    def command(self, *arguments: str) -> list[str]:
        return [self.program, *self._global, *arguments]

    async def create(self, container_id: str, log_path: str, *, tty: bool, stdin: bool, stdin_once: bool) -> Started:
        """Start conmon, which has the runtime create the container from its bundle. Raises RuntimeFault."""
        bundle = self._layout.bundle(container_id)
        # conmon drops a file named `oom` where it stands, so let it stand in the bundle.
        argv = ["/usr/bin/env", "-C", bundle, self._conmon, "--api-version", "1"]
        argv += ["-c", container_id, "-u", container_id, "-n", container_id]
        argv += ["-r", self.program, "-b", bundle, "-p", f"{bundle}/pid", "-P", f"{bundle}/conmon.pid"]
        argv += ["--exit-dir", self._layout.exits, "--persist-dir", bundle, "--full-attach", "--no-sync-log"]
        argv += ["-l", f"k8s-file:{log_path}", "--log-level", "error"]
        argv += [f"--runtime-arg={argument}" for argument in self._global]
        argv += ["-t"] if tty else []
        argv += ["-i"] if stdin else []
        argv += ["--leave-stdin-open"] if stdin and not stdin_once else []
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(writing, True)
        try:
            with open(os.devnull, "r+b", buffering=0) as null:
                fd = null.fileno()
                try:
                    pid = spawn(argv, stdin=fd, stdout=fd, stderr=fd, extra=[writing], env={"_OCI_SYNCPIPE": "3"})
                finally:
                    os.close(writing)
            child = Child(pid)
            try:
                report = await _line(reading)
                await child.wait()
            except BaseException:
                child.kill()
                raise
        finally:
            os.close(reading)
        return self._created(container_id, report)

    def _created(self, container_id: str, report: bytes) -> Started:
        try:
            answer = json.loads(report)
            pid = int(answer["data"])
        except (ValueError, KeyError, TypeError) as error:
            raise RuntimeFault(f"conmon failed to start: {report.decode(errors='replace').strip() or 'no answer'}") from error
        if pid <= 0:
            raise RuntimeFault(_words(str(answer.get("message", ""))))
        process = identify(pid)
        if process is None:
            raise RuntimeFault("the container's process ended before its start")
        return Started(process, self.conmon_of(container_id))

    def conmon_of(self, container_id: str) -> ProcessId | None:
        """The conmon process of a container, from its pid file."""
        try:
            with open(f"{self._layout.bundle(container_id)}/conmon.pid") as file:
                return identify(int(file.read()))
        except (OSError, ValueError):
            return None

    async def half_started(self, container_id: str) -> tuple[Started, str] | None:
        """What a `create` made whose caller was killed, and the runtime's word for its state: `created`, `running`, `stopped`.

        None if it did not get that far.
        """
        conmon = self.conmon_of(container_id)
        try:
            with open(f"{self._layout.bundle(container_id)}/pid") as file:
                process = identify(int(file.read()))
        except (OSError, ValueError):
            return None
        if process is None or not alive(conmon):
            return None
        outcome = await run(self.command("state", container_id))
        try:
            return Started(process, conmon), str(json.loads(outcome.stdout)["status"])
        except (ValueError, KeyError, TypeError):
            return None

    async def start(self, container_id: str) -> None:
        """Let a created container run its program. Raises RuntimeFault."""
        self._check(await run(self.command("start", container_id)))

    async def end(self, container_id: str) -> None:
        """Whatever was made of it, or is still being made: nobody may be left who goes on with that. Idempotent."""
        await strays.end(container_id, self.program)
        await self.delete(container_id)

    async def delete(self, container_id: str) -> None:
        """Remove what the runtime keeps of a container (its state, its cgroups), killing it if it lives. Idempotent."""
        if os.path.exists(f"{self._layout.runtime_state}/{container_id}"):
            await run(self.command("delete", "--force", container_id))

    async def update(self, container_id: str, resources_file: str) -> None:
        """Apply new limits to a running container. Raises RuntimeFault."""
        self._check(await run(self.command("update", "--resources", resources_file, container_id)))

    def resize(self, container_id: str, width: int, height: int) -> None:
        self._control(container_id, f"{_RESIZE} {height} {width}\n")

    def reopen_log(self, container_id: str) -> None:
        self._control(container_id, f"{_REOPEN_LOGS} 0 0\n")

    def _control(self, container_id: str, line: str) -> None:
        try:
            fd = os.open(f"{self._layout.bundle(container_id)}/ctl", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise RuntimeFault(f"the container's monitor does not answer: {error.strerror}") from error
        try:
            os.write(fd, line.encode())
        finally:
            os.close(fd)

    @staticmethod
    def _check(outcome: Outcome) -> None:
        if outcome.code:
            raise RuntimeFault(_words(outcome.output.decode(errors="replace")) or f"exit status {outcome.code}")


async def _line(fd: int) -> bytes:
    """Everything until a line end or the end of file."""
    data = b""
    while not data.endswith(b"\n"):
        await readable(fd)
        piece = os.read(fd, 65536)
        if not piece:
            break
        data += piece
    return data


def _words(text: str) -> str:
    """A runtime's error without its time stamps: crun writes `<time>: text`, runc logfmt with msg=."""
    lines = []
    for line in text.strip().splitlines():
        quoted = re.search(r'msg="((?:[^"\\]|\\.)*)"', line)
        bare = re.sub(r"^\d{4}-\d\d-\d\dT[\d:.]+Z?: ", "", line)
        lines.append(quoted.group(1).replace('\\"', '"') if quoted else bare)
    return "; ".join(lines)


def signal_number(name: str) -> int:
    """`SIGTERM`, `TERM`, `15`, `SIGRTMIN+3` as a number. Raises RuntimeFault."""
    text = name.upper().removeprefix("SIG")
    if text.isdecimal():
        return int(text)
    base, sign, offset = text.partition("+" if "+" in text else "-")
    try:
        number = signal.Signals[f"SIG{base}"].value
    except KeyError as error:
        raise RuntimeFault(f"unknown signal {name!r}") from error
    return number + int(f"{sign}{offset}") if sign else number


def exit_code_in(path: str) -> int | None:
    """What conmon wrote when the container ended; None if it has not."""
    try:
        with open(path) as file:
            return int(file.read())
    except (FileNotFoundError, ValueError):
        return None
