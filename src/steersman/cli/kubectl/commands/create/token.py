"""`kubectl create token`: a token of a service account, by the API's TokenRequest. It is printed, and kept nowhere."""

from __future__ import annotations

from steersman.cli.kubectl import common
from steersman.cli.kubectl.command import Command
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, UsageError
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.machinery.errors import StatusError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

_ACCOUNTS = Resource("", "v1", "serviceaccounts", True, "ServiceAccount")
_BOUND_KINDS = {"Pod": "v1", "Secret": "v1", "Node": "v1"}


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    if len(args) != 1:
        raise UsageError(ctx.command, f"exactly one NAME is required, got {len(args)}")
    body: Obj = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": _spec(flags)}
    try:
        answer = await ctx.client.create(_ACCOUNTS, body, ctx.namespace, name=args[0], subresource="token")
    except StatusError as error:
        raise KubectlError(f"failed to create token: {error.message}") from None
    if flags.text("output") or flags.text("template"):
        from steersman.cli.kubectl.output import PrintOptions, printer

        printer(flags.text("output"), PrintOptions(template=flags.text("template"))).print(answer, ctx.out)
    else:
        ctx.print(answer["status"]["token"])
    return 0


def _spec(flags: Flags) -> Obj:
    spec: Obj = {}
    if audiences := flags.texts("audience"):
        spec["audiences"] = audiences
    if flags.changed("duration"):
        if flags.seconds("duration") <= 0:
            raise KubectlError("--duration must be greater than or equal to 0")
        spec["expirationSeconds"] = int(flags.seconds("duration"))
    kind, name, uid = (flags.text(f"bound-object-{what}") for what in ("kind", "name", "uid"))
    if not kind:
        if name or uid:
            raise KubectlError(f"--bound-object-{'name' if name else 'uid'} can only be set if --bound-object-kind is provided")
        return spec
    if kind not in _BOUND_KINDS:
        raise KubectlError(f"supported --bound-object-kind values are {', '.join(sorted(_BOUND_KINDS))}")
    if not name:
        raise KubectlError("--bound-object-name is required if --bound-object-kind is provided")
    spec["boundObjectRef"] = {"kind": kind, "apiVersion": _BOUND_KINDS[kind], "name": name, **({"uid": uid} if uid else {})}
    return spec


TOKEN = Command(
    "Request a service account token.",
    "create token SERVICE_ACCOUNT_NAME [options]",
    (
        Flag("audience", "array", "Audience of the requested token. May be repeated to request a token valid for several."),
        Flag("bound-object-kind", help="Kind of an object to bind the token to. Supported kinds are Node, Pod, Secret."),
        Flag("bound-object-name", help="Name of an object to bind the token to."),
        Flag("bound-object-uid", help="UID of an object to bind the token to."),
        Flag("duration", "duration", "Requested lifetime of the issued token."),
        *common.PRINTING,
    ),
    run,
)
