"""`kubectl patch`: the patch as given, of one of three types."""

from __future__ import annotations

from typing import Any

import orjson

from steersman.cli.kubectl import common
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, file_problem, raise_all
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.resources import Info, find, query_of
from steersman.cli.kubectl.writing import Writer
from steersman.machinery import yamlio
from steersman.machinery.errors import StatusError

SUMMARY = """Update fields of a resource using strategic merge patch, a JSON merge patch, or a JSON patch.

 JSON and YAML formats are accepted."""
USAGE = "patch (-f FILENAME | TYPE NAME) [-p PATCH|--patch-file FILE] [options]"
EXAMPLES = """  # Partially update a node using a strategic merge patch, specifying the patch as JSON
  kubectl patch node k8s-node-1 -p '{"spec":{"unschedulable":true}}'

  # Update a container's image using a JSON patch with positional arrays
  kubectl patch pod valid-pod --type='json' -p='[{"op": "replace", "path": "/spec/containers/0/image", "value":"new image"}]'"""
FLAGS = (
    common.DRY_RUN,
    common.field_manager("kubectl-patch"),
    Flag("local", "bool", "If true, patch will operate on the content of the file, not the server-side resource."),
    Flag("patch", help="The patch to be applied to the resource JSON file.", short="p"),
    Flag("patch-file", help="A file containing a patch to be applied to the resource."),
    common.subresource("If specified, patch will operate on the subresource of the requested object."),
    Flag("type", help="The type of patch being provided; one of [json merge strategic]", default="strategic"),
    *common.FILES,
    *common.PRINTING,
)
_TYPES = ("json", "merge", "strategic")


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    kind = flags.text("type").lower()
    sent, patch = _patch(flags)
    if kind not in _TYPES:
        raise KubectlError(f'--type must be one of [{" ".join(_TYPES)}], not "{flags.text("type")}"')
    local = flags.on("local")
    if local and args:
        raise KubectlError("cannot specify --local and server resources")
    writer = Writer(ctx, "kubectl-patch")
    # What is not sent is tried on the file's object, if there is a file; everything else on the server's.
    from_file = local or (writer.local and bool(flags.texts("filename")))
    found = await find(ctx, query_of(flags, args, fetch=not from_file, latest=not from_file, local=local))
    if not found.infos and not found.errors:
        raise KubectlError("no objects passed to patch")
    for info in found.infos:
        try:
            await _one(ctx, writer, info, sent, patch, kind, local or writer.local)
        except StatusError as error:
            found.errors.append(error)
    raise_all(found.errors)
    return 0


async def _one(ctx: Context, writer: Writer, info: Info, sent: bytes, patch: Any, kind: str, local: bool) -> None:
    before = info.object
    if local:
        from steersman.cli.kubectl.patching import applied

        info.obj = applied(info.resource, before, patch if patch is not None else orjson.loads(sent), kind)
        changed = info.obj != before
    else:
        info.refresh(await writer.patch(info, sent, kind, subresource=ctx.flags.text("subresource")))
        changed = info.object != before
    writer.tell(info, "patched" if changed else "patched (no change)", plain=True, alone=True)


def _patch(flags: Flags) -> tuple[bytes, Any]:
    """The patch as JSON, and its value where it was YAML (else None: the server says what is wrong with JSON)."""
    text, path = flags.text("patch"), flags.text("patch-file")
    if text and path:
        raise KubectlError("cannot specify --patch and --patch-file together")
    if not text and not path:
        raise KubectlError("must specify --patch or --patch-file containing the contents of the patch")
    if path:
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except OSError as error:
            raise KubectlError(f"unable to read patch file: {file_problem(error)}") from None
    if text.lstrip().startswith("{"):
        return text.encode(), None
    try:
        value = yamlio.load(text)
    except ValueError as error:
        raise KubectlError(f'unable to parse "{text}": {error}') from None
    return orjson.dumps(value), value
