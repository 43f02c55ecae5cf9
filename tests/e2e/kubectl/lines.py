"""Command lines as they stand in lines/, each run with upstream's kubectl and with ours, and what both said.

`lines/alone/*.txt`: every line stands alone and only reads, in one prepared namespace; they run in any order, many at once.
`lines/steps/*.txt`: paragraphs. The lines of one run in order, each program in a namespace of its own, so that both meet the
same state although they change it. A paragraph's comment says what it is about.

A line is for the shell, run inside lines/files. It may use $NS, its namespace and its kubeconfig's, which is also a name for
what has no namespace, and $DIR, an empty directory that has the kubeconfig in it. With `! ` before it, a line only prepares:
upstream's program runs it for both. What differs by nature is made alike in `alike` and nowhere else; known differences are in
known.py.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "lines"
FILES = FOLDER / "files"
LONGEST_S = 180
"""A line that takes longer is ended; one that would never end has a `timeout` of its own."""
TOO_LONG = 124
"""The exit code of what was ended."""


class Said(NamedTuple):
    """What a line came to."""

    stdout: str
    stderr: str
    code: int

    def shown(self) -> str:
        return f"[exit {self.code}]\n{self.stdout}[stderr]\n{self.stderr}"


@dataclass(frozen=True)
class Line:
    """A command line, and where it stands."""

    text: str
    where: str
    prepares: bool = False


def alone() -> list[Line]:
    """The lines that stand alone, of all files."""
    return [line for path in sorted((FOLDER / "alone").glob("*.txt")) for part in _paragraphs(path) for line in part]


def steps() -> list[list[Line]]:
    """The paragraphs of lines that run in order, of all files."""
    return [part for path in sorted((FOLDER / "steps").glob("*.txt")) for part in _paragraphs(path)]


def _paragraphs(path: Path) -> list[list[Line]]:
    parts: list[list[Line]] = [[]]
    for number, text in enumerate(path.read_text().splitlines(), 1):
        if not text:
            parts.append([])
        elif not text.startswith("#"):
            parts[-1].append(Line(text.removeprefix("! "), f"{path.stem}.txt:{number}", text.startswith("! ")))
    return [part for part in parts if part]


@dataclass(frozen=True)
class Side:
    """One of the two programs at work: the directory its `kubectl` is found in, and the names of its own."""

    program: Path
    environment: dict[str, str]
    wrap: tuple[str, ...]
    """What to put before a command so that it runs beside the cluster."""

    def run(self, line: str, **own: str) -> Said:
        """Run a shell line; `own` are more variables of its environment."""
        environment = {**self.environment, **own}
        environment["PATH"] = f"{self.program}:{environment['PATH']}"
        done = subprocess.run(
            [*self.wrap, "timeout", str(LONGEST_S), "sh", "-c", line],
            cwd=FILES, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return Said(done.stdout, done.stderr, done.returncode)


_ALIKE = (
    # Each program has names of its own, of one length, that differ in their end: a namespace, a node, whatever has none.
    (r"\blines-(\w+)-(?:real|ours)\b", r"lines-\1-side"),
    # Times, and how long ago they were. An age's width moves what stands behind it.
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"\b(AGE|LAST SEEN|DURATION|FIRST SEEN) +", r"\1 "),
    (r"(?<![^\s(])(\d+[smhdy]){1,2}(?![^\s)]) *", "SOME-TIME "),
    (r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "TIME"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "UID"),
    (r'("?resourceVersion"?: )"\d+"', r'\1"RV"'),
    # Names the server made up, and addresses and ports it gave away.
    (r"(-[0-9a-f]{8,10})?-[bcdfghjklmnpqrstvwxz2456789]{5}\b", "-RANDOM"),
    (r"\b10\.\d+\.\d+\.\d+\b *", "ADDRESS "),
    (r"\b(nodePort: |\d+:)3[0-2]\d{3}\b", r"\1PORT"),
    (r"Forwarding from (127\.0\.0\.1|\[::1\]):\d+", r"Forwarding from \1:PORT"),
    (r"Handling connection for \d+", "Handling connection for PORT"),
    (r"/\S*/kubectl-edit-\w+\.(yaml|json)", r"TEMPORARY.\1"),
    # The server is newer than upstream's program.
    (r"WARNING: version difference between client .*\n", ""),
    # Upstream writes a log of its libraries between its own words.
    (r'(?m)^[EWI]\d{4} [\d:.]+ +\d+ (?!run\.go)\S+\.go:\d+\] .*\n', ""),
)  # fmt: skip


def alike(said: Said) -> Said:
    """What was said, without what cannot be the same twice."""
    return Said(_alike(said.stdout), _alike(said.stderr), said.code)


def _alike(text: str) -> str:
    for pattern, put in _ALIKE:
        text = re.sub(pattern, put, text)
    return text
