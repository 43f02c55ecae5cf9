"""Every kind without a description of its own: the object itself, its fields spelled out."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from steersman.cli.kubectl.describe.golang import verb_v
from steersman.cli.kubectl.describe.subject import Subject, head
from steersman.cli.kubectl.describe.writer import Writer
from steersman.machinery.meta import Obj

_SKIPPED = {f".metadata.{name}" for name in ("managedFields", "name", "namespace", "labels", "annotations")}
_ACRONYMS = {"API", "URL", "UID", "OSB", "GUID"}


async def describe_anything(subject: Subject, w: Writer) -> None:
    head(w, subject.obj)
    _write_fields(w, subject.obj, "", 0)
    await subject.write_events(w)


def _write_fields(w: Writer, fields: Obj, path: str, level: int) -> None:
    for name in sorted(fields):
        here, value = f"{path}.{name}", fields[name]
        if here in _SKIPPED:
            continue
        if isinstance(value, dict | list):
            w.write(f"{label_for(name)}:\n", level)
            _write_children(w, value, here, level + 1)
        else:
            w.field(label_for(name), verb_v(value), level)


def _write_children(w: Writer, value: Any, path: str, level: int) -> None:
    for child in value if isinstance(value, list) else [value]:
        if isinstance(child, dict):
            _write_fields(w, child, path, level)
        else:
            w.write(f"{verb_v(child)}\n", level)


def label_for(field: str) -> str:
    """A field's name as words; one with anything but letters and dashes stays as it is.

    >>> label_for("apiVersion"), label_for("podCIDRs"), label_for("x_y")
    ('API Version', 'Pod CID Rs', 'x_y')
    """
    if any(not char.isalpha() and char != "-" for char in field):
        return field
    return " ".join(word.upper() if word.upper() in _ACRONYMS else word[:1].upper() + word[1:] for word in _words(field))


def _words(name: str) -> list[str]:
    """The words of a camelCase name: of several upper-case letters in a row, the last begins the word that follows."""
    runs = ["".join(run) for _, run in groupby(name, key=lambda char: (char.isupper(), char.islower()))]
    for place in range(len(runs) - 1):
        if runs[place][-1].isupper() and runs[place + 1][0].islower():
            runs[place], runs[place + 1] = runs[place][:-1], runs[place][-1] + runs[place + 1]
    return [run for run in runs if run]
