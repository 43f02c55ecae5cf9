"""`kubectl set env`: environment variables of containers; `--list` shows them, `--from` takes them from maps and secrets."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from steersman.cli.kubectl.command import Command
from steersman.cli.kubectl.commands.set.change import FLAGS, query, send
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import Aggregate, KubectlError
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.podtemplates import containers_of, pod_spec_of
from steersman.cli.kubectl.resources import Found, Info, Query, find, find_one
from steersman.cli.kubectl.writing import Writer
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

_UNFIT = re.compile(r"[^A-Z0-9_]")
_CONFIG_MAPS = Resource("", "v1", "configmaps", True, "ConfigMap")
_SECRETS = Resource("", "v1", "secrets", True, "Secret")


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    words = [*args, *flags.texts("env")]
    resources = [word for word in args if "=" not in word and not word.endswith("-")]
    new: list[Obj] = []
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            new.append({"name": name, "value": value})
    gone = [word[:-1] for word in words if "=" not in word and word.endswith("-") and len(word) > 1]
    if not resources and not flags.texts("filename"):
        raise KubectlError("one or more resources must be specified as <resource> <name> or <resource>/<name>")
    if any(item["name"] in gone for item in new):
        raise KubectlError("can not both modify and remove the same environment variable in the same command")
    if source := flags.text("from"):
        new += await _from_source(ctx, flags, source)
    found = await find(ctx, query(ctx, resources))
    if flags.on("list"):
        await _list(ctx, flags, found)
        return 0
    writer = Writer(ctx, "kubectl-set")

    def change(info: Info) -> None:
        chosen = _chosen(ctx, flags, info)
        for container in chosen:
            if not flags.on("overwrite"):
                _refuse_changes(info, container, new)
            _update(container, new, gone)

    await send(ctx, writer, found, change, "env")
    return 0


def _chosen(ctx: Context, flags: Flags, info: Info) -> list[Obj]:
    pattern = flags.text("containers")
    chosen = [item for item in containers_of(pod_spec_of(info)) if fnmatchcase(str(item.get("name")), pattern)]
    if not chosen:
        ctx.complain(f'Warning: {info.resource.kind}/{info.name} does not have any containers matching "{pattern}"')
    return chosen


def _refuse_changes(info: Info, container: Obj, new: Sequence[Obj]) -> None:
    known = {item["name"]: item for item in container.get("env") or ()}
    for item in new:
        if item["name"] in known:
            taken = f"'{item['name']}' already has a value ({known[item['name']].get('value', '')})"
            raise KubectlError(f"error: {info.resource.plural}/{info.name} {taken}, and --overwrite is false")


def _update(container: Obj, new: Sequence[Obj], gone: Sequence[str]) -> None:
    """What is known keeps its place, what is new comes last."""
    fresh = {item["name"]: item for item in new}
    env = [fresh.pop(item["name"], item) for item in container.get("env") or () if item["name"] not in gone]
    env += fresh.values()
    if env:
        container["env"] = env
    else:
        container.pop("env", None)


async def _from_source(ctx: Context, flags: Flags, source: str) -> list[Obj]:
    """One variable per key of a config map or secret, by reference."""
    info = await find_one(ctx, Query(args=(source,)))
    kind = info.resource.kind
    if kind not in ("ConfigMap", "Secret"):
        raise KubectlError(f"unsupported resource specified in --from: {kind}")
    field = "configMapKeyRef" if kind == "ConfigMap" else "secretKeyRef"
    wanted = flags.texts("keys")
    found: list[Obj] = []
    for key in sorted(info.object.get("data") or {}):
        if wanted and key not in wanted:
            continue
        name = _UNFIT.sub("_", key.upper())
        if name != key:
            ctx.complain(f"Warning: key {key} transferred to {name}")
        found.append({"name": flags.text("prefix") + name, "valueFrom": {field: {"key": key, "name": info.name}}})
    return found


async def _list(ctx: Context, flags: Flags, found: Found) -> None:
    for info in found.infos:
        for container in _chosen(ctx, flags, info):
            ctx.print(f"# {info.resource.kind} {info.name}, container {container.get('name')}")
            for item in container.get("env") or ():
                ctx.print(await _shown(ctx, flags, info, item))
    if found.errors:
        raise Aggregate(found.errors)


async def _shown(ctx: Context, flags: Flags, info: Info, item: Obj) -> str:
    source = item.get("valueFrom")
    if not source:
        return f"{item['name']}={item.get('value', '')}"
    if flags.on("resolve") and (value := await _resolved(ctx, info, source)) is not None:
        return f"{item['name']}={value}"
    return f"# {item['name']} from {_described(source)}"


async def _resolved(ctx: Context, info: Info, source: Obj) -> str | None:
    if ref := source.get("configMapKeyRef"):
        found = await ctx.client.get(_CONFIG_MAPS, ref["name"], info.namespace)
        return str((found.get("data") or {}).get(ref["key"], ""))
    if ref := source.get("secretKeyRef"):
        found = await ctx.client.get(_SECRETS, ref["name"], info.namespace)
        return base64.b64decode((found.get("data") or {}).get(ref["key"], "")).decode(errors="replace")
    return None


def _described(source: Obj) -> str:
    if ref := source.get("configMapKeyRef"):
        return f"configmap {ref['name']}, key {ref['key']}"
    if ref := source.get("secretKeyRef"):
        return f"secret {ref['name']}, key {ref['key']}"
    if ref := source.get("fieldRef"):
        return f"field path {ref['fieldPath']}"
    if ref := source.get("resourceFieldRef"):
        container = f"{ref['containerName']}/" if ref.get("containerName") else ""
        return f"resource field {container}{ref['resource']}"
    return "an unknown source"


ENV = Command(
    "Update environment variables on a pod template.",
    "set env RESOURCE/NAME KEY_1=VAL_1 ... KEY_N=VAL_N [options]",
    (
        Flag("containers", help="The names of containers in the selected pod templates to change.", short="c", default="*"),
        Flag("env", "array", "Specify a key-value pair for an environment variable to set into each container.", short="e"),
        Flag("from", help="The name of a resource from which to inject environment variables"),
        Flag("keys", "strings", "Comma-separated list of keys to import from specified resource"),
        Flag("list", "bool", "If true, display the environment and any changes in the standard format."),
        Flag("overwrite", "bool", "If true, allow environment to be overwritten, otherwise reject updates.", default=True),
        Flag("prefix", help="Prefix to append to variable names"),
        Flag("resolve", "bool", "If true, show secret or configmap references when listing variables"),
        *FLAGS,
    ),
    run,
)
