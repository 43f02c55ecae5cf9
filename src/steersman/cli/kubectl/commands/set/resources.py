"""`kubectl set resources`: limits and requests of containers."""

from __future__ import annotations

from fnmatch import fnmatchcase

from steersman.cli.kubectl.command import Command
from steersman.cli.kubectl.commands.set.change import FLAGS, change_all
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.podtemplates import containers_of, dict_in, pod_spec_of
from steersman.cli.kubectl.resources import Info
from steersman.machinery import quantity


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    if not flags.text("limits") and not flags.text("requests"):
        raise KubectlError("you must specify an update to requests or limits (in the form of --requests/--limits)")
    amounts = {field: _amounts(flags.text(field)) for field in ("limits", "requests")}
    pattern = flags.text("containers")

    def change(info: Info) -> None:
        chosen = [item for item in containers_of(pod_spec_of(info)) if fnmatchcase(str(item.get("name")), pattern)]
        if not chosen:
            raise KubectlError(f"error: unable to find container named {pattern}")
        for container in chosen:
            for field, values in amounts.items():
                if values:
                    dict_in(container, "resources", field).update(values)

    return await change_all(ctx, args, change, "resource requirements")


def _amounts(text: str) -> dict[str, str]:
    """`cpu=1,memory=1Gi`."""
    found: dict[str, str] = {}
    for part in text.split(",") if text else ():
        name, equals, value = part.partition("=")
        if not equals:
            raise KubectlError(f"Invalid argument syntax {part}, expected <resource>=<value>")
        try:
            found[name] = quantity.canonical(value)
        except ValueError:
            raise KubectlError(
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            ) from None
    return found


RESOURCES = Command(
    "Update resource requests/limits on objects with pod templates.\n\n "
    "Specify compute resource requirements (CPU, memory) for any resource that defines a pod template.",
    "set resources (-f FILENAME | TYPE NAME)  ([--limits=LIMITS & --requests=REQUESTS] [options]",
    (
        Flag("containers", help="The names of containers in the selected pod templates to change.", short="c", default="*"),
        Flag("limits", help="The resource requirement limits for this container. For example, 'cpu=100m,memory=256Mi'."),
        Flag("requests", help="The resource requirement requests for this container. For example, 'cpu=100m,memory=256Mi'."),
        *FLAGS,
    ),
    run,
)
