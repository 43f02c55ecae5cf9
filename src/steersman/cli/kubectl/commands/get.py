"""`kubectl get`: one or many objects, as a table that the server made or in any other format."""

from __future__ import annotations

from steersman.cli.kubectl import common
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import raise_all
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.output import GET_FORMATS, PrintOptions, printer
from steersman.cli.kubectl.resources import find, query_of

SUMMARY = "Display one or many resources."
USAGE = (
    "get [(-o|--output=)json|yaml|name|...] "
    "(TYPE[.VERSION][.GROUP] [NAME | -l label] | TYPE[.VERSION][.GROUP]/NAME ...) [flags] [options]"
)
FLAGS = (
    common.ALL_NAMESPACES,
    common.SELECTOR,
    common.FIELD_SELECTOR,
    Flag("chunk-size", "int", "Return large lists in chunks rather than all at once. Pass 0 to disable.", default=500),
    *common.FILES,
    *common.PRINTING,
)


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    found = await find(ctx, query_of(flags, args, everything=True, latest=True))
    printing = printer(flags.text("output") or "name", PrintOptions(template=flags.text("template")), allowed=GET_FORMATS)
    if found.single and found.infos:
        printing.print(found.infos[0].object, ctx.out)
    elif found.infos or not found.errors:
        items = [info.object for info in found.infos]
        printing.print({"apiVersion": "v1", "kind": "List", "items": items, "metadata": {"resourceVersion": ""}}, ctx.out)
    raise_all(found.errors)
    return 0
