"""`kubectl label` and `kubectl annotate`: maps in the metadata of objects."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from steersman.cli.kubectl import common
from steersman.cli.kubectl.command import Command
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, raise_all
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.resources import Found, Info, find, query_of
from steersman.cli.kubectl.writing import Writer
from steersman.machinery import names
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj, metadata
from steersman.machinery.patch import merge

_CHANGE_CAUSE = "kubernetes.io/change-cause"
"""Written anew with every change, so it may always be overwritten."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What the arguments ask for; `resources` are the arguments before the first change."""

    resources: Sequence[str]
    new: dict[str, str]
    gone: Sequence[str]


def changes_of(args: Sequence[str], what: str) -> Changes:
    """`key=value` sets, `key-` removes. Raises KubectlError."""
    resources: list[str] = []
    new: dict[str, str] = {}
    gone: list[str] = []
    for arg in args:
        key, equals, value = arg.partition("=")
        if equals and key:
            new[key] = value
        elif arg.endswith("-") and len(arg) > 1:
            gone.append(arg[:-1])
        elif new or gone:
            raise KubectlError(f"all resources must be specified before {what} changes: {arg}")
        else:
            resources.append(arg)
    return Changes(resources, new, gone)


async def run_label(ctx: Context, flags: Flags, args: list[str]) -> int:
    changes = changes_of(args, "label")
    for key, value in changes.new.items():
        if problems := names.label_value(value):
            raise KubectlError(f'invalid label value: "{key}={value}": {"; ".join(problems)}')
    if set(changes.new) & set(changes.gone):
        raise KubectlError("can not both modify and remove a label in the same command")
    return await _run(ctx, flags, changes, "labels", _label)


async def run_annotate(ctx: Context, flags: Flags, args: list[str]) -> int:
    changes = changes_of(args, "annotation")
    if both := sorted(set(changes.new) & set(changes.gone)):
        raise KubectlError(f"can not both modify and remove the following annotation(s) in the same command: {', '.join(both)}")
    return await _run(ctx, flags, changes, "annotations", _annotate)


Edit = Callable[[Context, Flags, Changes, Info], str]
"""Changes `info.obj` and says what has been done to it."""


async def _run(ctx: Context, flags: Flags, changes: Changes, field: str, edit: Edit) -> int:
    word = field.removesuffix("s")
    _check(flags, changes, word)
    local = flags.on("local")
    writer = Writer(ctx, f"kubectl-{'label' if word == 'label' else 'annotate'}")
    found = await find(ctx, query_of(flags, changes.resources, latest=not local, fetch=not local, local=local))
    if flags.text("resource-version") and len(found.infos) > 1:
        raise KubectlError("--resource-version may only be used with a single resource")
    if flags.on("list"):
        _list(ctx, found, field)
        raise_all(found.errors)
        return 0
    for info in found.infos:
        before = copy.deepcopy(info.object)
        try:
            done = edit(ctx, flags, changes, info)
            if version := flags.text("resource-version"):
                metadata(info.object)["resourceVersion"] = version
            if not local and not writer.local:
                patch = merge.diff(before, info.object) or {}
                info.refresh(await writer.patch(info, patch, "merge"))
        except (StatusError, KubectlError) as error:
            found.errors.append(error)
            continue
        writer.tell(info, done, alone=True)
    raise_all(found.errors)
    return 0


def _check(flags: Flags, changes: Changes, word: str) -> None:
    if flags.on("all") and flags.text("selector"):
        raise KubectlError("cannot set --all and --selector at the same time")
    if flags.on("all") and flags.text("field-selector"):
        raise KubectlError("cannot set --all and --field-selector at the same time")
    if not changes.resources and not flags.texts("filename") and not flags.text("kustomize"):
        raise KubectlError("one or more resources must be specified as <resource> <name> or <resource>/<name>")
    if not changes.new and not changes.gone and not flags.on("list"):
        raise KubectlError(f"at least one {word} update is required")


def _label(ctx: Context, flags: Flags, changes: Changes, info: Info) -> str:
    labels = metadata(info.object).get("labels")
    size = _size(info.object)
    before = copy.deepcopy(info.object)
    for key in changes.gone:
        if key not in (labels or {}):
            ctx.print(f'label "{key}" not found.')
    if not flags.on("overwrite"):
        for key, value in changes.new.items():
            if labels and key in labels and labels[key] != value:
                raise KubectlError(f"'{key}' already has a value ({labels[key]}), and --overwrite is false")
    _set(info.object, "labels", changes)
    if info.object == before:
        return "not labeled"
    return "unlabeled" if not flags.on("overwrite") and _size(info.object) < size else "labeled"


def _annotate(ctx: Context, flags: Flags, changes: Changes, info: Info) -> str:
    annotations = metadata(info.object).get("annotations") or {}
    if not flags.on("overwrite"):
        taken = [
            f"'{key}' already has a value ({annotations[key]})"
            for key, value in changes.new.items()
            if key != _CHANGE_CAUSE and annotations.get(key, value) != value
        ]
        if taken:
            raise KubectlError(f"--overwrite is false but found the following declared annotation(s): {'; '.join(taken)}")
    _set(info.object, "annotations", changes)
    return "annotated"


def _set(obj: Obj, field: str, changes: Changes) -> None:
    kept = {key: value for key, value in (metadata(obj).get(field) or {}).items() if key not in changes.gone}
    metadata(obj)[field] = {**kept, **changes.new}


def _size(obj: Obj) -> int:
    return len(orjson.dumps(obj))


def _list(ctx: Context, found: Found, field: str) -> None:
    indent = ""
    for info in found.infos:
        if not found.single:
            indent = " "
            at = info.resource
            ctx.print(f"Listing {field} for {at.kind}.{at.group}/{info.name}:")
        values = metadata(info.object).get(field) or {}
        for key in sorted(values):
            ctx.print(f"{indent}{key}={values[key]}")


def _flags(manager: str, what: str) -> tuple[Flag, ...]:
    return (
        Flag("all", "bool", "Select all resources, in the namespace of the specified resource types"),
        common.ALL_NAMESPACES,
        common.DRY_RUN,
        common.field_manager(manager),
        common.FIELD_SELECTOR,
        Flag("list", "bool", f"If true, display the {what} for a given resource."),
        common.LOCAL,
        Flag("overwrite", "bool", f"If true, allow {what} to be overwritten, otherwise reject updates that overwrite them."),
        common.RESOURCE_VERSION,
        common.SELECTOR,
        *common.FILES,
        *common.PRINTING,
    )


LABEL = Command(
    "Update the labels on a resource.\n\n A label key and value must begin with a letter or number.",
    "label [--overwrite] (-f FILENAME | TYPE NAME) KEY_1=VAL_1 ... KEY_N=VAL_N [--resource-version=version] [options]",
    _flags("kubectl-label", "labels"),
    run_label,
    """  # Update pod 'foo' with the label 'unhealthy' and the value 'true'
  kubectl label pods foo unhealthy=true

  # Update pod 'foo' by removing a label named 'bar' if it exists
  kubectl label pods foo bar-""",
)
ANNOTATE = Command(
    "Update the annotations on one or more resources.\n\n All Kubernetes objects support the ability to store additional data.",
    "annotate [--overwrite] (-f FILENAME | TYPE NAME) KEY_1=VAL_1 ... KEY_N=VAL_N [--resource-version=version] [options]",
    _flags("kubectl-annotate", "annotations"),
    run_annotate,
    """  # Update pod 'foo' with the annotation 'description' and the value 'my frontend'
  kubectl annotate pods foo description='my frontend'""",
)
