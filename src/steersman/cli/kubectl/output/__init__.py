"""How objects are printed: `-o`.

`printer(spec)` makes what a value of `-o` stands for. Modules: documents.py (yaml, json, name), paths.py (jsonpath), template.py
(go-template), columns.py (custom-columns), table.py (the tables of `get`). Formats are loaded when they are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TextIO

from steersman.machinery.meta import Obj

_TEMPLATES = ("go-template", "go-template-file", "template", "templatefile")
_PATHS = ("jsonpath", "jsonpath-as-json", "jsonpath-file")
FORMATS = tuple(sorted((*_TEMPLATES, *_PATHS, "json", "name", "yaml")))
"""What nearly every verb takes."""
GET_FORMATS = tuple(sorted((*FORMATS, "custom-columns", "custom-columns-file", "wide")))
"""What `get` takes."""
PLAIN_FORMATS = ("json", "yaml")
"""What those verbs take that print no API objects."""


class Printer(Protocol):
    """Prints one object, or a list, each time it is called."""

    def print(self, obj: Obj, out: TextIO) -> None: ...


@dataclass(frozen=True, slots=True)
class PrintOptions:
    """The flags beside `-o`. `operation`: what `-o name`'s long form says was done (`created`); empty for the short form."""

    template: str = ""
    managed_fields: bool = False
    allow_missing_keys: bool = True
    no_headers: bool = False


def printer(spec: str, options: PrintOptions | None = None, *, allowed: Sequence[str] = FORMATS) -> Printer:
    """The printer that `-o spec` means. KubectlError if there is none; `wide` and no spec at all are the caller's own."""
    options = options or PrintOptions()
    name, sign, argument = spec.partition("=")
    if not name and options.template:
        name = "go-template"
    if name in allowed and not (sign and name in ("json", "yaml", "name", "wide")):
        made = _plain(name, options) or _templated(name, argument, options) or _columned(name, argument, options)
        if made is not None:
            return made
    from steersman.cli.kubectl.errors import KubectlError
    from steersman.machinery.govalues import quote

    raise KubectlError(
        f"unable to match a printer suitable for the output format {quote(spec)}, "
        f"allowed formats are: {','.join(sorted(allowed))}"
    )


def _plain(name: str, options: PrintOptions) -> Printer | None:
    if name not in ("json", "yaml", "name"):
        return None
    from steersman.cli.kubectl.output.documents import JSONPrinter, NamePrinter, YAMLPrinter

    if name == "name":
        return NamePrinter()
    made = JSONPrinter if name == "json" else YAMLPrinter
    return made(managed_fields=options.managed_fields)


def _templated(name: str, argument: str, options: PrintOptions) -> Printer | None:
    if name not in _TEMPLATES and name not in _PATHS:
        return None
    from steersman.cli.kubectl.errors import KubectlError

    text = argument or options.template
    if not text:
        raise KubectlError("template format specified but no template given")
    if name.endswith("file"):
        text = _read(text, "error reading --template {path}, {why}")
    if name in _PATHS:
        from steersman.cli.kubectl.output.paths import JSONPathPrinter

        return JSONPathPrinter(text, allow_missing_keys=options.allow_missing_keys, as_json=name == "jsonpath-as-json")
    from steersman.cli.kubectl.output.template import TemplatePrinter

    return TemplatePrinter(text, allow_missing_keys=options.allow_missing_keys)


def _columned(name: str, argument: str, options: PrintOptions) -> Printer | None:
    if name not in ("custom-columns", "custom-columns-file"):
        return None
    from steersman.cli.kubectl.errors import KubectlError
    from steersman.cli.kubectl.output import columns

    text = argument or options.template
    if not text:
        raise KubectlError("custom-columns format specified but no custom columns given")
    if name == "custom-columns":
        return columns.from_spec(text, no_headers=options.no_headers)
    return columns.from_template(_read(text, "error reading template {path}, {why}"))


def _read(path: str, wording: str) -> str:
    from steersman.cli.kubectl.errors import KubectlError

    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        why = f"open {path}: {(error.strerror or str(error)).lower()}"
        raise KubectlError(wording.format(path=path, why=why)) from None
