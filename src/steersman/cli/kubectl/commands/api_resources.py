"""`kubectl api-resources`: what the server serves, from its discovery."""

from __future__ import annotations

from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, UsageError
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.mapping import Mapping
from steersman.cli.kubectl.output.table import layout

SUMMARY = "Print the supported API resources on the server."
USAGE = "api-resources [flags] [options]"
EXAMPLES = """  # Print the supported API resources
  kubectl api-resources

  # Print the supported API resources with more information
  kubectl api-resources -o wide

  # Print the supported namespaced resources
  kubectl api-resources --namespaced=true

  # Print the supported API resources with a specific APIGroup
  kubectl api-resources --api-group=rbac.authorization.k8s.io"""
FLAGS = (
    Flag("api-group", help="Limit to resources in the specified API group."),
    Flag("cached", "bool", "Use the cached list of resources if available."),
    Flag("categories", "strings", "Limit to resources that belong to the specified categories."),
    Flag(
        "namespaced",
        "bool",
        "If false, non-namespaced resources will be returned, otherwise returning namespaced resources by default.",
        default=True,
    ),
    Flag("no-headers", "bool", "When using the default or custom-column output format, don't print headers."),
    Flag("output", help="Output format. One of: (wide, name).", short="o"),
    Flag("sort-by", help="If non-empty, sort list of resources using specified field. The field can be either 'name' or 'kind'."),
    Flag("verbs", "strings", "Limit to resources that support the specified verbs."),
)
_HEADERS = ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    if args:
        raise UsageError(ctx.command, f"unexpected arguments: [{' '.join(args)}]")
    output, order = flags.text("output"), flags.text("sort-by")
    if output not in ("", "wide", "name"):
        raise KubectlError(f"--output {output} is not available")
    if order not in ("", "name", "kind"):
        raise KubectlError("--sort-by accepts only name or kind")
    served = [item for item in await ctx.mapper.all(fresh=not flags.on("cached")) if _wanted(item, flags)]
    if order:
        served.sort(key=lambda item: item.resource.plural if order == "name" else item.resource.kind)
    else:
        served.sort(key=lambda item: (item.resource.group, item.resource.plural))
    if output == "name":
        for item in served:
            ctx.print(item.resource.qualified)
        return 0
    rows = [_row(item, wide=output == "wide") for item in served]
    if not flags.on("no-headers"):
        rows.insert(0, [*_HEADERS, "VERBS", "CATEGORIES"] if output == "wide" else _HEADERS)
    ctx.out.write(layout(rows))
    return 0


def _wanted(item: Mapping, flags: Flags) -> bool:
    if not item.preferred or not item.verbs:
        return False
    if flags.changed("api-group") and item.resource.group != flags.text("api-group"):
        return False
    if flags.changed("namespaced") and item.resource.namespaced != flags.on("namespaced"):
        return False
    return set(flags.texts("verbs")) <= item.verbs and set(flags.texts("categories")) <= set(item.categories)


def _row(item: Mapping, *, wide: bool) -> list[str]:
    at = item.resource
    row = [at.plural, ",".join(item.short_names), at.api_version, "true" if at.namespaced else "false", at.kind]
    return [*row, ",".join(sorted(item.verbs)), ",".join(item.categories)] if wide else row
