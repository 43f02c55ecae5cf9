"""Objects through a Go template: `-o go-template=`."""

from __future__ import annotations

from typing import TextIO

from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.output.documents import encode
from steersman.cli.kubectl.output.gotemplate.execute import Template, TemplateError
from steersman.machinery import govalues
from steersman.machinery.meta import Obj


class TemplatePrinter:
    """No newline is added. What a failing template has written is shown, and then a good deal about the failure."""

    def __init__(self, template: str, *, allow_missing_keys: bool = True) -> None:
        try:
            self._template = Template(template)
        except TemplateError as error:
            raise KubectlError(f"error parsing template {template}, {error}") from None
        self._text, self._lenient = template, allow_missing_keys

    def print(self, obj: Obj, out: TextIO) -> None:
        try:
            self._template.run(obj, out.write, allow_missing_keys=self._lenient)
        except TemplateError as error:
            out.write(
                f"Error executing template: {error}. Printing more information for debugging the template:\n"
                f"\ttemplate was:\n\t\t{self._text}\n"
                f"\traw data was:\n\t\t{encode(obj)}\n"
                f"\tobject given to template engine was:\n\t\t{govalues.plain(obj)}\n\n"
            )
            raise KubectlError(f"error executing template {govalues.quote(self._text)}: {error}") from None
