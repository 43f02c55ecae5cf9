"""Environment variables from files in an emptyDir (fileKeyRef; KEP-3721): what an earlier container wrote for a later one.

The format is a small part of what a POSIX shell reads: `NAME='value'`, the value literal and possibly several lines long, with
blank lines and comments between. Not here: which variables a container has (env.py).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from steersman.kubelet.volumes import subpath

MAX_BYTES = 1 << 20
_BLANKS = " \t"
_WRONG = "invalid environment variable format at line"


def read(volume: Path, relative: str) -> str:
    """The text of a file of the volume. Containers write there: no link leads out, no pipe is waited for. Raises OSError."""
    root = os.path.realpath(volume)
    wanted = os.path.realpath(os.path.join(root, relative))
    if os.path.commonpath((root, wanted)) != root:
        raise OSError(f"{relative} is not within the volume")
    opened = subpath.open_inside(Path(root), os.path.relpath(wanted, root))
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise OSError(f"{relative} is not a file")
        with open(f"/proc/self/fd/{opened}", "rb") as file:
            found = file.read(MAX_BYTES + 1)
    finally:
        os.close(opened)
    if len(found) > MAX_BYTES:
        raise OSError(f"{relative} is longer than {MAX_BYTES} bytes")
    return found.decode("utf-8", "surrogateescape")


def reader(volumes: Mapping[str, Path]) -> Callable[[str, str], str | None]:
    """`read` by a volume's name; None for a file that is not there. `volumes`: where a pod's are."""

    def found(volume: str, path: str) -> str | None:
        if volume not in volumes:
            raise OSError(f'cannot find the volume "{volume}" referenced by FileKeyRef')
        try:
            return read(volumes[volume], path)
        except FileNotFoundError:
            return None

    return found


def value_of(text: str, key: str) -> str:
    """The key's first value; '' if it has none. Raises ValueError for what is wrong before that."""
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        number += 1
        line = lines[number - 1].removesuffix("\r").lstrip(_BLANKS)
        if not line or line.startswith("#"):
            continue
        name, assigns, value = line.partition("=")
        if not assigns or not name or name.endswith(tuple(_BLANKS)):
            raise ValueError(f"{_WRONG} {number}")
        if value.startswith(tuple(_BLANKS)):
            # As a shell has it: nothing is assigned.
            value = ""
        elif not value.startswith("'"):
            raise ValueError(f"{_WRONG} {number}: value must be enclosed in single quotes")
        else:
            value, number = _quoted(value[1:], lines, number)
        if name == key:
            return value
    return ""


def _quoted(begun: str, lines: list[str], number: int) -> tuple[str, int]:
    """What stands before the closing quote, and the number of the line that has it. Raises ValueError."""
    first = number
    parts = [begun]
    while "'" not in parts[-1]:
        if number == len(lines):
            raise ValueError(f"invalid environment variable format starting at line {first}: unclosed single quote")
        parts.append(lines[number].removesuffix("\r"))
        number += 1
    last, _, rest = parts.pop().partition("'")
    rest = rest.strip(_BLANKS)
    if rest and not rest.startswith("#"):
        raise ValueError(f"{_WRONG} {number}: unexpected content after closing quote")
    return "\n".join([*parts, last]), number
