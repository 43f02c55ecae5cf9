"""`kubectl taint`: adds, changes and removes taints of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from steersman.cli.kubectl import common
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, UsageError, raise_all
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.resources import Info, Query, find
from steersman.cli.kubectl.writing import Writer
from steersman.machinery import names
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj, dig

SUMMARY = """Update the taints on one or more nodes.

  *  A taint consists of a key, value, and effect. As an argument here, it is expressed as key=value:effect.
  *  The effect must be NoSchedule, PreferNoSchedule or NoExecute.
  *  Currently taint can only apply to node."""
USAGE = "taint NODE NAME KEY_1=VAL_1:TAINT_EFFECT_1 ... KEY_N=VAL_N:TAINT_EFFECT_N [options]"
EXAMPLES = """  # Update node 'foo' with a taint with key 'dedicated' and value 'special-user' and effect 'NoSchedule'
  kubectl taint nodes foo dedicated=special-user:NoSchedule

  # Remove from node 'foo' the taint with key 'dedicated' and effect 'NoSchedule' if one exists
  kubectl taint nodes foo dedicated:NoSchedule-

  # Remove from node 'foo' all the taints with key 'dedicated'
  kubectl taint nodes foo dedicated-"""
FLAGS = (
    Flag("all", "bool", "Select all nodes in the cluster"),
    common.DRY_RUN,
    common.field_manager("kubectl-taint"),
    Flag("overwrite", "bool", "If true, allow taints to be overwritten, otherwise reject taint updates that overwrite."),
    common.SELECTOR,
    common.VALIDATE,
    *common.PRINTING,
)
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


@dataclass(frozen=True, slots=True)
class _Taint:
    """Without an effect: all of the key, for removal."""

    key: str
    value: str = ""
    effect: str = ""

    @property
    def shown(self) -> str:
        return f"{self.key}:{self.effect}" if self.effect else self.key

    def same(self, taint: Obj) -> bool:
        return bool(taint.get("key") == self.key and self.effect in ("", taint.get("effect")))

    def field(self) -> Obj:
        made = {"key": self.key, "value": self.value, "effect": self.effect}
        return {key: value for key, value in made.items() if value}


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    words, specs = _split(args)
    if not words:
        raise KubectlError("one or more resources must be specified as <resource> <name>")
    if not specs:
        raise KubectlError("at least one taint update is required")
    added, removed = _parsed(ctx, specs)
    mapping = await ctx.mapper.for_argument(words[0])
    if mapping.resource.plural != "nodes":
        raise KubectlError(f"invalid resource type {words[0]}, only node types are supported")
    selector = flags.text("selector")
    if len(words) < 2 and not selector and not flags.on("all"):
        raise KubectlError("at least one resource name must be specified since 'all' parameter is not set")
    if selector and flags.on("all"):
        raise KubectlError("setting 'all' parameter with a non empty selector is prohibited")
    clashing = [
        f"{taint.key}={gone.effect}"
        for taint in added
        for gone in removed
        if taint.key == gone.key and gone.effect in ("", taint.effect)
    ]
    if clashing:
        raise KubectlError(f"can not both modify and remove the following taint(s) in the same command: {', '.join(clashing)}")
    writer = Writer(ctx, "kubectl-taint")
    found = await find(ctx, Query(args=words, selector=selector, everything=flags.on("all")))
    for info in found.infos:
        try:
            await _taint(ctx, writer, info, added, removed)
        except (StatusError, KubectlError) as error:
            found.errors.append(error)
    raise_all(found.errors)
    return 0


async def _taint(ctx: Context, writer: Writer, info: Info, added: Sequence[_Taint], removed: Sequence[_Taint]) -> None:
    overwrite = ctx.flags.on("overwrite")
    held: list[Obj] = dig(info.object, "spec", "taints", default=[])
    if not overwrite and (taken := [taint.key for taint in added if any(taint.same(old) for old in held)]):
        keys = ",".join(taken)
        raise KubectlError(f"node {info.name} already has {keys} taint(s) with same effect(s) and --overwrite is false")
    missing = [f'taint "{taint.shown}" not found' for taint in removed if not any(taint.same(old) for old in held)]
    if missing:
        raise KubectlError(missing[0] if len(missing) == 1 else f"[{', '.join(missing)}]")
    kept = [old for old in held if not any(taint.same(old) for taint in (*added, *removed))]
    wanted = [*(taint.field() for taint in added), *kept]
    if writer.local:
        info.object["spec"]["taints"] = wanted
    else:
        info.refresh(await writer.patch(info, {"spec": {"taints": wanted or None}}, "merge"))
    operation = "modified" if overwrite or (added and removed) else "tainted" if added else "untainted"
    if ctx.flags.text("output") or ctx.flags.text("template"):
        writer.tell(info, operation)
    else:
        # Upstream says nothing of dry runs here.
        ctx.print(f"{info.shown} {operation}")


def _split(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """Resource and names, then taints: what has a sign of one."""
    words: list[str] = []
    specs: list[str] = []
    for arg in args:
        taint = "=" in arg or ":" in arg or arg.endswith("-")
        if taint or specs:
            if not taint:
                raise KubectlError(f"all resources must be specified before taint changes: {arg}")
            specs.append(arg)
        else:
            words.append(arg)
    return words, specs


def _parsed(ctx: Context, specs: Sequence[str]) -> tuple[list[_Taint], list[_Taint]]:
    added: list[_Taint] = []
    removed: list[_Taint] = []
    for spec in specs:
        try:
            taint = _one(spec.removesuffix("-") if spec.endswith("-") else spec)
        except KubectlError as error:
            raise UsageError(ctx.command, str(error)) from None
        if spec.endswith("-"):
            removed.append(taint)
            continue
        if not taint.effect:
            raise UsageError(ctx.command, f"invalid taint spec: {spec}, {names.qualified_name(spec)[0]}")
        if any((taint.key, taint.effect) == (other.key, other.effect) for other in added):
            shown = f"{{{taint.key} {taint.value} {taint.effect} <nil>}}"
            raise UsageError(ctx.command, f"duplicated taints with the same key and effect: {shown}")
        added.append(taint)
    return added, removed


def _one(spec: str) -> _Taint:
    parts = spec.split(":")
    if len(parts) > 2:
        raise KubectlError(f"invalid taint spec: {spec}")
    key, value, effect = parts[0], "", ""
    if len(parts) == 2:
        effect = parts[1]
        if effect not in _EFFECTS:
            raise KubectlError(f"invalid taint effect: {effect}, unsupported taint effect")
        if key.count("=") > 1:
            raise KubectlError(f"invalid taint spec: {spec}")
        key, _, value = key.partition("=")
        if wrong := names.label_value(value):
            raise KubectlError(f"invalid taint spec: {spec}, {'; '.join(wrong)}")
    if wrong := names.qualified_name(key):
        raise KubectlError(f"invalid taint spec: {spec}, {'; '.join(wrong)}")
    return _Taint(key, value, effect)
