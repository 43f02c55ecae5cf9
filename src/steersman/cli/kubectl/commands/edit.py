"""`kubectl edit`: objects in an editor, and the difference to the server; what is refused is opened again with the reasons."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from steersman.cli.kubectl import common
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import ExitError, KubectlError
from steersman.cli.kubectl.files import documents
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.lastapplied import ANNOTATION, annotate
from steersman.cli.kubectl.output import PLAIN_FORMATS, printer
from steersman.cli.kubectl.output.documents import without_managed_fields
from steersman.cli.kubectl.patching import difference
from steersman.cli.kubectl.resources import Found, Info, find, query_of
from steersman.cli.kubectl.writing import Writer
from steersman.machinery.errors import Invalid, NotFound, StatusError
from steersman.machinery.meta import Obj, annotations_of, name_of, namespace_of

SUMMARY = """Edit a resource from the default editor.

 The edit command allows you to directly edit any API resource you can retrieve via the command-line tools. It will open the \
editor defined by your KUBE_EDITOR, or EDITOR environment variables, or fall back to 'vi'."""
USAGE = "edit (RESOURCE/NAME | -f FILENAME) [options]"
EXAMPLES = """  # Edit the service named 'registry'
  kubectl edit svc/registry

  # Use an alternative editor
  KUBE_EDITOR="nano" kubectl edit svc/registry"""
FLAGS = (
    common.field_manager("kubectl-edit"),
    Flag("output-patch", "bool", "Output the patch if the resource is edited."),
    Flag("save-config", "bool", "If true, the configuration of current object will be saved in its annotation."),
    common.subresource("If specified, edit will operate on the subresource of the requested object."),
    common.VALIDATE,
    Flag("windows-line-endings", "bool", "Defaults to the line ending native to your platform."),
    *common.FILES,
    *common.PRINTING,
)
_HEADER = (
    "Please edit the object below. Lines beginning with a '#' will be ignored,",
    "and an empty file will abort the edit. If an error occurs while saving this file will be",
    "reopened with the relevant failures.",
    "",
)


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    form = flags.text("output") or "yaml"
    printer(form, allowed=PLAIN_FORMATS)  # before anything is asked for
    found = await find(ctx, query_of(flags, args, everything=True, latest=True))
    infos = found.checked()
    if not infos:
        raise KubectlError("edit cancelled, no objects found")
    writer = Writer(ctx, "kubectl-edit")
    original = _written(found, form)
    text, reasons, refused = original, list[str](), ""
    while True:
        path = _stored((_commented(reasons) if form == "yaml" else "") + text, form)
        _open_editor(path)
        edited = _stripped(path.read_text())
        if reasons and edited == refused:
            ctx.complain(f'A copy of your changes has been stored to "{path}"')
            raise KubectlError("Edit cancelled, no valid changes were saved.")
        if not edited.strip():
            path.unlink()
            ctx.complain("Edit cancelled, saved file was empty.")
            return 0
        if edited == _stripped(original):
            path.unlink()
            ctx.complain("Edit cancelled, no changes made.")
            return 0
        reasons = await _save(ctx, flags, writer, infos, edited, path)
        if not reasons:
            return 0
        path.unlink()
        text, refused = edited, edited


async def _save(ctx: Context, flags: Flags, writer: Writer, infos: Sequence[Info], edited: str, path: Path) -> list[str]:
    """Send what has changed. Returns why the file must be opened again; an empty list when all is done."""
    try:
        objects = list(documents("edited-file", edited))
    except KubectlError as error:
        return ["The edited file had a syntax error: " + str(error)]
    by_name = {(info.resource.kind, info.namespace, info.name): info for info in infos}
    reasons: list[str] = []
    failed = False
    for obj in objects:
        info = by_name.get((str(obj.get("kind")), namespace_of(obj), name_of(obj)))
        if info is None or obj.get("apiVersion") != info.object.get("apiVersion"):
            ctx.complain(f'A copy of your changes has been stored to "{path}"')
            raise KubectlError("At least one of apiVersion, kind and name was changed")
        try:
            await _patch(ctx, flags, writer, info, obj)
        except Invalid as error:
            ctx.complain(f'error: {info.resource.qualified} "{info.name}" is invalid')
            reasons += _reasons(info, error)
        except NotFound:
            ctx.complain(f'error: {info.resource.qualified} "{info.name}" could not be found on the server')
            ctx.complain(f'The edits you made on deleted resources have been saved to "{path}"')
            failed = True
        except StatusError as error:
            ctx.complain(f'error: {info.resource.qualified} "{info.name}" could not be patched: {error.message}')
            ctx.complain(f"You can run `kubectl replace -f {path}` to try this update again.")
            failed = True
    if failed:
        raise ExitError(1)
    if not reasons:
        path.unlink()
    return reasons


async def _patch(ctx: Context, flags: Flags, writer: Writer, info: Info, obj: Obj) -> None:
    if flags.on("save-config") or ANNOTATION in annotations_of(obj):
        obj = annotate(obj) if flags.on("save-config") else obj
    kind, patch = difference(info.resource, without_managed_fields(info.object), without_managed_fields(obj))
    if not patch:
        ctx.print(f"{info.shown} skipped")
        return
    if flags.on("output-patch"):
        import orjson

        ctx.print(f"Patch: {orjson.dumps(patch, option=orjson.OPT_SORT_KEYS).decode()}")
    info.refresh(await writer.patch(info, patch, kind, subresource=flags.text("subresource")))
    writer.tell(info, "edited", alone=True)


def _reasons(info: Info, error: Invalid) -> list[str]:
    lines = [f'{info.resource.qualified} "{info.name}" was not valid:']
    return [*lines, *(f" * {cause.get('field', '')}: {cause.get('message', '')}" for cause in error.causes)]


def _written(found: Found, form: str) -> str:
    """The objects as text: one as itself, several as a List."""
    import io

    items = [info.object for info in found.infos]
    obj: Obj = items[0]
    if len(items) > 1:
        obj = {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {}}
    out = io.StringIO()
    printer(form).print(obj, out)
    return out.getvalue()


def _commented(reasons: Sequence[str]) -> str:
    lines = [*_HEADER, *(line for reason in reasons for line in reason.splitlines()), *([""] if reasons else [])]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def _stripped(text: str) -> str:
    """Without the lines that begin with `#`."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.lstrip().startswith("#"))


def _stored(text: str, form: str) -> Path:
    """In a file that nobody else may read: it can hold a Secret."""
    handle, name = tempfile.mkstemp(prefix="kubectl-edit-", suffix=f".{form}")
    with os.fdopen(handle, "w") as file:
        file.write(text)
    return Path(name)


def _open_editor(path: Path) -> None:
    editor = os.environ.get("KUBE_EDITOR") or os.environ.get("EDITOR") or "vi"
    # An editor with arguments is a line for a shell, as upstream takes it.
    command = ["sh", "-c", f"{editor} {shlex.quote(str(path))}"] if " " in editor else [editor, str(path)]
    try:
        code = subprocess.call(command)
    except OSError:
        if "/" not in editor:
            raise KubectlError(f'unable to launch the editor "{editor}"') from None
        code = 1
    if code:
        raise KubectlError(f'there was a problem with the editor "{editor}"')
