"""`kubectl get`: one or many objects, as tables that the server made (get_tables.py) or in any other format."""

from __future__ import annotations

from urllib.parse import urlsplit

from steersman.cli.kubectl import common
from steersman.cli.kubectl.commands.get_formats import printer_of
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import Aggregate, KubectlError, UsageError
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.resources import Found, Query, find, query_of
from steersman.machinery.errors import NotFound, from_status
from steersman.machinery.meta import Obj

SUMMARY = """Display one or many resources.

 Prints a table of the most important information about the specified resources. You can filter the list using a label selector \
and the --selector flag. If the desired resource type is namespaced you will only see results in the current namespace if you \
don't specify any namespace."""
USAGE = (
    "get [(-o|--output=)json|yaml|name|go-template|go-template-file|template|templatefile|jsonpath|jsonpath-as-json|jsonpath-file"
    "|custom-columns|custom-columns-file|wide] (TYPE[.VERSION][.GROUP] [NAME | -l label] | TYPE[.VERSION][.GROUP]/NAME ...) "
    "[flags] [options]"
)
EXAMPLES = """  # List all pods in ps output format
  kubectl get pods

  # List a single pod in JSON output format
  kubectl get -o json pod web-pod-13je7

  # List all deployments in namespace 'backend'
  kubectl get deployments.apps --namespace backend"""
FLAGS = (
    common.ALL_NAMESPACES,
    common.SELECTOR,
    common.FIELD_SELECTOR,
    Flag("chunk-size", "int", "Return large lists in chunks rather than all at once. Pass 0 to disable.", default=500),
    Flag("ignore-not-found", "bool", "If the requested object does not exist the command will return exit code 0."),
    Flag("label-columns", "strings", "Comma separated list of labels that are going to be presented as columns.", short="L"),
    Flag("no-headers", "bool", "When using the default or custom-column output format, don't print headers."),
    Flag("output-watch-events", "bool", "Output watch event objects when --watch or --watch-only is used."),
    Flag("raw", help="Raw URI to request from the server. Uses the transport specified by the kubeconfig file."),
    Flag("server-print", "bool", "If true, have the server return the appropriate table output.", default=True),
    Flag("show-kind", "bool", "If present, list the resource type for the requested object(s)."),
    Flag("show-labels", "bool", "When printing, show all labels as the last column (default hide labels column)"),
    Flag("sort-by", help="If non-empty, sort list types using this field specification."),
    common.subresource("If specified, gets the subresource of the requested object."),
    Flag("watch", "bool", "After listing/getting the requested object, watch for changes.", short="w"),
    Flag("watch-only", "bool", "Watch for changes to the requested object(s), without listing/getting first."),
    *common.FILES,
    *common.PRINTING,
)
_TABLES = ("", "wide")
_NO_TYPE = (
    'You must specify the type of resource to get. Use "kubectl api-resources" for a complete list of supported resources.\n'
)
_NO_RESOURCE = (
    'Required resource not specified.\nUse "kubectl explain <resource>" for a detailed description of that resource '
    "(e.g. kubectl explain pods)."
)


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    if raw := flags.text("raw"):
        return await _raw(ctx, raw, args)
    _check(ctx, flags, args)
    query = query_of(flags, args, everything=True, latest=True)
    if flags.on("watch") or flags.on("watch-only"):
        from steersman.cli.kubectl.commands.get_watch import watch

        return await watch(ctx, flags, query)
    if flags.text("output") in _TABLES and not flags.text("template"):
        from steersman.cli.kubectl.commands.get_tables import print_tables

        return await print_tables(ctx, flags, query)
    return await _print_objects(ctx, flags, query)


def _check(ctx: Context, flags: Flags, args: list[str]) -> None:
    watching = flags.on("watch") or flags.on("watch-only")
    if flags.text("subresource") and not flags.texts("filename") and not any("/" in arg for arg in args) and len(args) < 2:
        raise KubectlError("subresource cannot be used when bulk resources are specified")
    if flags.on("output-watch-events") and not watching:
        raise KubectlError("--output-watch-events option can only be used with --watch or --watch-only")
    if not args and not flags.texts("filename") and not flags.text("kustomize"):
        ctx.complain(_NO_TYPE)
        raise UsageError(ctx.command, _NO_RESOURCE)
    if watching and flags.text("sort-by"):
        ctx.complain("warning: --watch requested, --sort-by will be ignored for watch events received")


async def _print_objects(ctx: Context, flags: Flags, query: Query) -> int:
    printing = printer_of(flags)
    found = await find(ctx, query)
    if flags.on("ignore-not-found"):
        found.errors = [error for error in found.errors if not isinstance(error, NotFound)]
    obj = _combined(found, flags.text("sort-by"))
    if found.infos or not (found.errors and found.single or flags.on("ignore-not-found")):
        printing.print(obj, ctx.out)
    if found.errors:
        raise Aggregate(found.errors)
    return 0


def _combined(found: Found, sort_path: str) -> Obj:
    """The one object asked for, or a List of all."""
    items = [info.object for info in found.infos]
    if found.single and items:
        return items[0]
    if sort_path and items:
        from steersman.cli.kubectl.sorting import sort_by

        items = sort_by(items, sort_path, lambda item: item)
    return {"apiVersion": "v1", "kind": "List", "items": items, "metadata": {"resourceVersion": ""}}


async def _raw(ctx: Context, target: str, args: list[str]) -> int:
    if args:
        raise KubectlError("arguments may not be passed when --raw is specified")
    if not urlsplit(target).path.startswith("/"):
        raise KubectlError(f'--raw must be a valid URL path: parse "{target}": invalid URI for request')
    answer = await ctx.client.transport.request("GET", target, headers={"Accept": "*/*"})
    if not 200 <= answer.status < 300:
        import orjson

        try:
            body = orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            body = {"kind": "Status", "message": answer.body.decode(errors="replace"), "reason": ""}
        raise from_status(body, answer.status)
    ctx.out.write(answer.body.decode(errors="replace"))
    return 0
