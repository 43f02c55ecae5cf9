"""`-o custom-columns=NAME:.metadata.name,...`: a table whose cells are JSONPaths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TextIO

from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.output.table import layout, safe
from steersman.machinery import govalues
from steersman.machinery.jsonpath.evaluate import JSONPath
from steersman.machinery.jsonpath.parse import JSONPathError, relax
from steersman.machinery.meta import Obj


class Column(NamedTuple):
    header: str
    path: JSONPath


def from_spec(spec: str, *, no_headers: bool = False) -> ColumnsPrinter:
    """Of `HEADER:path,HEADER:path`. Raises KubectlError."""
    if not spec:
        raise KubectlError("custom-columns format specified but no custom columns given")
    columns: list[Column] = []
    for part in spec.split(","):
        header, colon, path = part.partition(":")
        if not colon:
            raise KubectlError(f"unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>")
        columns.append(_column(header, path))
    return ColumnsPrinter(columns, no_headers=no_headers)


def from_template(text: str) -> ColumnsPrinter:
    """Of a file with a line of headers and a line of paths. Headers are shown in any case. Raises KubectlError."""
    lines = [line.split() for line in text.splitlines()[:2]]
    if len(lines) < 2:
        raise KubectlError(
            f"invalid template, missing {'spec' if lines else 'header'} line. Expected format is one line of space separated "
            "headers, one line of space separated column specs."
        )
    headers, paths = lines
    if len(headers) != len(paths):
        raise KubectlError(f"number of headers ({len(headers)}) and field specifications ({len(paths)}) don't match")
    return ColumnsPrinter([_column(*pair) for pair in zip(headers, paths)])


class ColumnsPrinter:
    """One row per object; a list prints its items. The headers come once."""

    def __init__(self, columns: Sequence[Column], *, no_headers: bool = False) -> None:
        self._columns = columns
        self._headers = not no_headers

    def print(self, obj: Obj, out: TextIO) -> None:
        rows: list[list[str]] = []
        if self._headers:
            rows.append([column.header for column in self._columns])
            self._headers = False
        listed = isinstance(obj.get("items"), list) and str(obj.get("kind") or "").endswith("List")
        try:
            for item in obj["items"] if listed else [obj]:
                rows.append([_cell(column.path, item) for column in self._columns])
        finally:
            # What was done before an object failed is shown.
            out.write(layout(rows))


def _column(header: str, path: str) -> Column:
    try:
        return Column(header, JSONPath(relax(path)))
    except JSONPathError as error:
        raise KubectlError(str(error)) from None


def _cell(path: JSONPath, obj: Obj) -> str:
    try:
        found = [value for values in path.find(obj) for value in values]
    except JSONPathError as error:
        raise KubectlError(str(error)) from None
    return ",".join(safe(govalues.plain(value)) for value in found) if found else "<none>"
