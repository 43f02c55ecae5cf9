"""An object as it is now, and from when to watch it: for what waits for something to become of it.

Not from the object's own version: the server may have forgotten all of that time, be it that the object has not changed for
minutes or that the server has only just started. It would say so at once, at every try. Source: kubectl pkg/cmd/wait.
"""

from __future__ import annotations

from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.resources import Info
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Obj


async def look(ctx: Context, info: Info) -> tuple[Obj, str]:
    """The object, and the version of its collection at that moment, to watch from. Raises NotFound."""
    found = await ctx.client.list(info.resource, info.namespace, field_selector=f"metadata.name={info.name}")
    for obj in found["items"]:
        return obj, str(found["metadata"].get("resourceVersion") or "")
    raise NotFound.of(info.resource.group, info.resource.plural, info.name)
