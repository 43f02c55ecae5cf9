"""Objects through a JSONPath: `-o jsonpath=`, `-o jsonpath-as-json=`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TextIO

from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.output.documents import encode
from steersman.machinery import govalues
from steersman.machinery.jsonpath.evaluate import JSONPath
from steersman.machinery.jsonpath.parse import JSONPathError
from steersman.machinery.meta import Obj


class JSONPathPrinter:
    """What the actions of a template find, with its text between. No newline is added, unless `as_json`."""

    def __init__(self, template: str, *, allow_missing_keys: bool = True, as_json: bool = False) -> None:
        try:
            self._path = JSONPath(template, allow_missing_keys=allow_missing_keys)
        except JSONPathError as error:
            raise KubectlError(f"error parsing jsonpath {template}, {error}") from None
        self._as_json = as_json

    def print(self, obj: Obj, out: TextIO) -> None:
        try:
            found = self._path.find(obj)
        except JSONPathError as error:
            raise KubectlError(_failure(self._path.template, str(error), obj)) from None
        for results in found:
            out.write(encode(results, indent=4) + "\n" if self._as_json else text_of(results))


def text_of(results: Sequence[Any]) -> str:
    """Results as text: maps and lists as JSON, all else as it is, a space between."""
    return " ".join(encode(value) if isinstance(value, dict | list) else govalues.plain(value) for value in results)


def _failure(template: str, why: str, obj: Obj) -> str:
    return (
        f"error executing jsonpath {govalues.quote(template)}: Error executing template: {why}. "
        "Printing more information for debugging the template:\n"
        f"\ttemplate was:\n\t\t{template}\n"
        f"\tobject given to jsonpath engine was:\n\t\t{govalues.syntax(obj)}\n\n\n"
    )
