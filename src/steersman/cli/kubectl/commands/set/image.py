"""`kubectl set image`."""

from __future__ import annotations

from steersman.cli.kubectl.command import Command
from steersman.cli.kubectl.commands.set.change import FLAGS, change_all
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, PlainError
from steersman.cli.kubectl.flags import Flags
from steersman.cli.kubectl.podtemplates import containers_of, pod_spec_of
from steersman.cli.kubectl.resources import NOTHING_GIVEN, SLASH_MIX, Info


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    resources = [arg for arg in args if "=" not in arg]
    images = {name: image for name, _, image in (arg.partition("=") for arg in args if "=" in arg)}
    if not resources and not flags.texts("filename"):
        raise PlainError(NOTHING_GIVEN)
    if any("/" in arg for arg in resources) and not all("/" in arg for arg in resources):
        raise KubectlError(SLASH_MIX)
    if not images:
        raise KubectlError("at least one image update is required")
    if len(images) > 1 and "*" in images:
        raise KubectlError(
            "all containers are already specified by *, but saw more than one container_name=container_image pairs"
        )

    def change(info: Info) -> None:
        containers = containers_of(pod_spec_of(info))
        for name, image in images.items():
            chosen = [container for container in containers if name in ("*", container.get("name"))]
            if not chosen:
                raise KubectlError(f'error: unable to find container named "{name}"')
            for container in chosen:
                container["image"] = image

    return await change_all(ctx, resources, change, "image")


IMAGE = Command(
    "Update the image of a pod template.\n\n Update existing container image(s) of resources.",
    "set image (-f FILENAME | TYPE NAME) CONTAINER_NAME_1=CONTAINER_IMAGE_1 ... CONTAINER_NAME_N=CONTAINER_IMAGE_N [options]",
    FLAGS,
    run,
    """  # Set a deployment's nginx container image to 'nginx:1.9.1', and its busybox container image to 'busybox'
  kubectl set image deployment/nginx busybox=busybox nginx=nginx:1.9.1""",
)
