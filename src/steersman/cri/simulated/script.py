"""Programs out of command lines: a little of what a shell does, so that usual manifests do what they look like.

Known are echo, printf, sleep, exit, true, false, `:`, trap, hostname, cat of mounted files, `sh -c`, and `ready` and `unready`;
commands follow each other by `;`, line ends, `&&` and `||`, variables are filled in, output may go to a mounted file. Whatever
else there is serves until it is stopped, or, where something has to come to an end (init containers, pods of Jobs), ends well at
once.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field

from steersman.cri.messages import ContainerConfig, ExecResult, SandboxConfig
from steersman.cri.simulated.program import (
    CONTAINER_PROGRAM_ANNOTATION,
    PROGRAM_ANNOTATION,
    Exit,
    Process,
    Program,
    serve,
)
from steersman.machinery.waiting import within

_SEPARATORS = frozenset((";", "&&", "||", ";;"))
_SHELLS = frozenset(("sh", "bash", "ash", "/bin/sh", "/bin/bash", "/bin/ash"))
_UNKNOWN_SYNTAX = frozenset(("|", "&", "(", ")", "<", "<<"))
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_JOB_LABELS = ("batch.kubernetes.io/job-name", "job-name")
INIT_ANNOTATION = "steersman.dev/init-container"
"""The kubelet's mark of containers that have to end before the pod's others start."""

Out = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Programs:
    """What runs in a container: by annotation of its pod, by image (whole name, without tag, last part), by command."""

    by_image: Mapping[str, Program] = field(default_factory=dict)
    by_name: Mapping[str, Program] = field(default_factory=dict)

    def of(self, config: ContainerConfig, sandbox: SandboxConfig, image: str) -> Program:
        noted = sandbox.annotations.get(f"{CONTAINER_PROGRAM_ANNOTATION}{config.name}") or sandbox.annotations.get(
            PROGRAM_ANNOTATION
        )
        if noted:
            return self.by_name.get(noted) or _scripted(parse(noted))
        untagged = re.sub(r"(:[^/]*|@.*)$", "", image)
        for name in (image, untagged, untagged.rpartition("/")[2]):
            if name in self.by_image:
                return self.by_image[name]
        lines = parse_command((*config.command, *config.args))
        if lines:
            return _scripted(lines)
        return _ends if _has_to_end(config, sandbox) else serve


def _has_to_end(config: ContainerConfig, sandbox: SandboxConfig) -> bool:
    return INIT_ANNOTATION in config.annotations or any(label in sandbox.labels for label in _JOB_LABELS)


async def _ends(process: Process) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Line:
    """One command, and what it depends on: `;`, `&&` or `||`."""

    after: str
    words: tuple[str, ...]


def parse_command(command: Sequence[str]) -> list[Line]:
    """`sh -c TEXT` is taken apart; anything else is one command. Empty if there is none."""
    if len(command) >= 3 and command[0] in _SHELLS and command[1].startswith("-") and command[1].endswith("c"):
        return parse(command[2])
    return [Line(";", tuple(command))] if command else []


def parse(text: str) -> list[Line]:
    """Commands of a script. What cannot be read is one command that nobody knows."""
    lexer = shlex.shlex(text.replace("\n", " ; "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        tokens = list(lexer)
    except ValueError:
        return [Line(";", (text,))]
    lines: list[Line] = []
    after, words = ";", list[str]()
    for token in (*tokens, ";"):
        if token not in _SEPARATORS:
            words.append(token)
            continue
        if words:
            lines.append(Line(after, tuple(words)))
            words = []
        after = token
    return lines


def _scripted(lines: list[Line]) -> Program:
    def program(process: Process) -> Coroutine[None, None, int]:
        return _Run(process, process.write).lines(lines)

    return program


async def execute(process: Process, command: Sequence[str]) -> ExecResult:
    """A command run in the container, by its program or as a script."""
    if process.on_exec is not None:
        answering = process.on_exec(command)
        if answering is not None:
            return await answering
    output: dict[str, list[str]] = {"stdout": [], "stderr": []}
    run = _Run(process, lambda text, stream: output[stream].append(text), inside=True)
    try:
        code = await run.lines(parse_command(command))
    except Exit as end:
        code = end.code
    return ExecResult("".join(output["stdout"]).encode(), "".join(output["stderr"]).encode(), code)


class _Run:
    """One script at work. `inside`: as a command in a running container, where the unknown succeeds if the program is ready."""

    def __init__(self, process: Process, out: Out, *, inside: bool = False) -> None:
        self._process, self._out, self._inside = process, out, inside
        self._on_stop: list[Line] = []

    async def lines(self, lines: Sequence[Line]) -> int:
        code = 0
        for line in lines:
            if (line.after == "&&" and code) or (line.after == "||" and not code):
                continue
            code = await self._one(list(line.words))
        return code

    async def _one(self, words: list[str]) -> int:
        if not _UNKNOWN_SYNTAX.isdisjoint(words):
            return await self._unknown()
        if words[0] == "exec" and len(words) > 1:
            words = words[1:]
        words = [_VARIABLE.sub(self._variable, word) for word in words]
        stream = "stdout"
        match words:
            case [*rest, ">&", "2"] if rest:
                words, stream = rest, "stderr"
            case [*rest, ">" | ">>", path] if rest:
                words, stream = rest, path
        known = self._known(words, stream)
        if known is not None:
            return known
        match words:
            case ["sleep", *lengths] if (seconds := _seconds(lengths)) is not None:
                await self._wait(seconds)
                return 0
            case ["exit", *rest]:
                raise Exit(int(rest[0]) & 255 if rest and rest[0].isdigit() else 0)
            case [shell, *_] if shell in _SHELLS:
                return await self.lines(parse_command(words))
        return await self._unknown()

    def _variable(self, found: re.Match[str]) -> str:
        return self._process.environment.get(found[1] or found[2], "")

    def _put(self, text: str, stream: str) -> None:
        """To stdout, stderr or a file."""
        if stream in ("stdout", "stderr"):
            self._out(text, stream)
        else:
            self._process.leave(stream, text)

    def _known(self, words: list[str], stream: str) -> int | None:
        """The code of a command that takes no time; None if it is none of those."""
        match words:
            case ["true" | ":", *_]:
                return 0
            case ["false", *_]:
                return 1
            case ["echo", *rest]:
                self._put(" ".join(rest) + "\n", stream)
            case ["printf", *rest]:
                self._put("".join(rest[:1]).replace("\\n", "\n"), stream)
            case ["hostname", *_]:
                self._put(f"{self._process.sandbox.hostname}\n", stream)
            case ["ready" | "unready" as word]:
                self._process.ready = word == "ready"
            case ["trap", action, _, *_] if not self._inside:
                self._process.trap()
                self._on_stop = parse(action) if action else []
            case ["cat", *paths] if paths and all(self._process.path(path) for path in paths):
                return self._cat(paths, stream)
            case _:
                return None
        return 0

    def _cat(self, paths: list[str], stream: str) -> int:
        for path in paths:
            try:
                self._put(self._process.read(path), stream)
            except OSError as error:
                self._put(f"cat: can't open '{path}': {error.strerror}\n", "stderr")
                return 1
        return 0

    async def _unknown(self) -> int:
        if self._inside:
            return 0 if self._process.ready else 1
        if _has_to_end(self._process.config, self._process.sandbox):
            return 0
        await self._wait(None)
        return 0

    async def _wait(self, seconds: float | None) -> None:
        """Time passes; a trapped stop signal interrupts with what the trap says."""
        process = self._process
        trapped = None if self._inside else process.trapped
        if trapped is None:
            if seconds is None:
                await asyncio.Event().wait()
            else:
                await process.sleep(seconds)
            return
        if seconds is None:
            await trapped.wait()
        elif not await within(process.clock, seconds, trapped.wait):
            return
        on_stop, self._on_stop = self._on_stop, []
        await self.lines(on_stop)
        # The trap let it live on.
        await asyncio.Event().wait()


def _seconds(lengths: Sequence[str]) -> float | None:
    """sleep's arguments; None if they are not of its kind. `infinity` is as good as for ever."""
    total = 0.0
    for text in lengths:
        found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+|infinity|inf)([smhd]?)", text)
        if found is None:
            return None
        total += 1e9 if found[1].startswith("inf") else float(found[1]) * _UNITS[found[2]]
    return total if lengths else None
