"""`kubectl apply --server-side`: the server merges, and knows who manages which field (KEP-555)."""

from __future__ import annotations

from steersman.cli.kubectl.commands.apply.migrating import migrate
from steersman.cli.kubectl.context import FIELD_MANAGER, Context
from steersman.cli.kubectl.errors import KubectlError, raise_all
from steersman.cli.kubectl.flags import Flags
from steersman.cli.kubectl.resources import Info, find, query_of
from steersman.cli.kubectl.writing import Writer
from steersman.machinery.errors import Conflict, StatusError, UnsupportedMediaType
from steersman.machinery.meta import Obj

_WAYS_OUT = """
Please review the fields above--they currently have other managers. Here
are the ways you can resolve this warning:
* If you intend to manage all of these fields, please re-run the apply
  command with the `--force-conflicts` flag.
* If you do not intend to manage all of the fields, please edit your
  manifest to remove references to the fields that should keep their
  current managers.
* You may co-own fields by updating your manifest to match the existing
  value; in this case, you'll become the manager if the other manager(s)
  stop managing the field (remove it from their configuration).
See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts"""


async def apply_all(ctx: Context, flags: Flags) -> int:
    writer = Writer(ctx, FIELD_MANAGER)
    found = await find(ctx, query_of(flags, (), fetch=False))
    applied: list[tuple[Obj, str]] = []
    for info in found.infos:
        try:
            await _apply(ctx, flags, writer, info)
        except UnsupportedMediaType as error:
            found.errors.append(KubectlError(f"Server-side apply not available on the server: ({error.message})"))
            continue
        except Conflict as error:
            found.errors.append(KubectlError(error.message + _WAYS_OUT))
            continue
        except StatusError as error:
            found.errors.append(error)
            continue
        if flags.text("output") and flags.text("output") != "name":
            applied.append((info.object, "serverside-applied"))
        else:
            writer.tell(info, "serverside-applied")
    writer.tell_objects(applied)
    raise_all(found.errors)
    return 0


async def _apply(ctx: Context, flags: Flags, writer: Writer, info: Info) -> None:
    sent, force = info.object, flags.on("force-conflicts")
    info.refresh(await writer.patch(info, sent, "apply", force=force))
    manager = flags.text("field-manager") or FIELD_MANAGER
    if writer.dry_run == "none" and await migrate(ctx, writer, info, sent, manager):
        info.refresh(await writer.patch(info, sent, "apply", force=force))
