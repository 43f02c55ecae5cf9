"""`kubectl describe`: objects in words. Finds them, by prefix of their name as well; the words are describe/'s."""

from __future__ import annotations

from collections.abc import Sequence

from steersman.cli.kubectl import common
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.describe import DESCRIBED_VERSIONS, describe
from steersman.cli.kubectl.errors import KubectlError, PlainError, raise_all
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.resources import Info, Query, find, query_of
from steersman.machinery.errors import NotFound, StatusError

SUMMARY = "Show details of a specific resource or group of resources."
USAGE = "describe (-f FILENAME | TYPE [NAME_PREFIX | -l label] | TYPE/NAME) [options]"
EXAMPLES = """  # Describe a node
  kubectl describe nodes kubernetes-node-emt8.c.myproject.internal

  # Describe a pod
  kubectl describe pods/nginx

  # Describe a pod identified by type and name in "pod.json"
  kubectl describe -f pod.json

  # Describe all pods
  kubectl describe pods

  # Describe pods by label name=myLabel
  kubectl describe pods -l name=myLabel

  # Describe all pods managed by the 'frontend' replication controller
  # (rc-created pods get the name of the rc as a prefix in the pod name)
  kubectl describe pods frontend"""
FLAGS = (
    common.ALL_NAMESPACES,
    Flag("chunk-size", "int", "Return large lists in chunks rather than all at once. Pass 0 to disable.", default=500),
    *common.FILES,
    common.SELECTOR,
    Flag("show-events", "bool", "If true, display events related to the described object.", default=True),
)
_NO_TYPE = (
    'You must specify the type of resource to describe. Use "kubectl api-resources" for a complete list of supported resources.'
)


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    if not args and not flags.texts("filename") and not flags.text("kustomize"):
        raise KubectlError(_NO_TYPE)
    found = await find(ctx, query_of(flags, args, everything=True, latest=True))
    if len(args) == 2 and len(found.errors) == 1 and isinstance(found.errors[0], NotFound):
        await _describe_matching(ctx, args[0], args[1], found.errors[0])
        return 0
    # What is wrong with a file is told without `error: ` here.
    errors = [PlainError(str(error)) if isinstance(error, KubectlError) else error for error in found.errors]
    errors += await _describe_all(ctx, found.infos)
    if not found.infos and not errors:
        ctx.complain("No resources found" if flags.on("all-namespaces") else f"No resources found in {ctx.namespace} namespace.")
    raise_all(errors)
    return 0


async def _describe_all(ctx: Context, infos: Sequence[Info]) -> list[Exception]:
    """Prints what can be described, and returns why the rest can't, each reason once."""
    errors: dict[str, Exception] = {}
    before = ""
    for info in infos:
        try:
            text = await _described(ctx, info)
        except (StatusError, KubectlError) as error:
            errors.setdefault(str(error), error)
            continue
        ctx.out.write(before + text)
        before = "\n\n"
    return list(errors.values())


async def _describe_matching(ctx: Context, kind: str, prefix: str, missing: NotFound) -> None:
    """All whose names begin so; `missing` is raised if there are none."""
    if "," in kind:
        raise KubectlError("you may only specify a single resource type")
    found = await find(ctx, Query(args=[kind], everything=True))
    matching = [info for info in found.checked() if info.name.startswith(prefix)]
    for info in matching:
        ctx.print(await _described(ctx, info))
    if not matching:
        raise missing


async def _described(ctx: Context, info: Info) -> str:
    at, obj = info.resource, info.object
    version = DESCRIBED_VERSIONS.get((at.group, at.kind), at.version)
    if version != at.version:
        obj = await ctx.client.get(at._replace(version=version), info.name, info.namespace)
    return await describe(ctx.client, obj, show_events=ctx.flags.on("show-events"), clock=ctx.clock)
