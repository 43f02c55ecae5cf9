"""`kubectl run`: one pod from flags; with `-i`/`--attach` it is attached to, with --rm it is deleted afterwards."""

from __future__ import annotations

import re

from steersman.cli.kubectl import common
from steersman.cli.kubectl.commands.expose import overridden
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import ExitError, KubectlError, PlainError, UsageError
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.gone import wait_until_gone
from steersman.cli.kubectl.lastapplied import annotate
from steersman.cli.kubectl.resources import Info
from steersman.cli.kubectl.writing import Writer
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj, dig, name_of, uid_of

SUMMARY = "Create and run a particular image in a pod."
USAGE = (
    'run NAME --image=image [--env="key=value"] [--port=port] [--dry-run=server|client] [--overrides=inline-json] '
    "[--command] -- [COMMAND] [args...] [options]"
)
EXAMPLES = """  # Start a nginx pod
  kubectl run nginx --image=nginx

  # Start a busybox pod and keep it in the foreground, don't restart it if it exits
  kubectl run -i -t busybox --image=busybox --restart=Never"""
FLAGS = (
    Flag("annotations", "array", "Annotations to apply to the pod."),
    Flag("attach", "bool", "If true, wait for the Pod to start running, and then attach to it."),
    Flag("command", "bool", "If true and extra arguments are present, use them as the 'command' field in the container."),
    common.DRY_RUN,
    Flag("env", "array", "Environment variables to set in the container."),
    Flag("expose", "bool", "If true, create a ClusterIP service associated with the pod. Requires `--port`."),
    common.field_manager("kubectl-run"),
    Flag("force", "bool", "If true, immediately remove resources from API and bypass graceful deletion."),
    Flag("grace-period", "int", "Period of time in seconds given to the resource to terminate gracefully.", default=-1),
    Flag("image", help="The image for the container to run."),
    Flag("image-pull-policy", help="The image pull policy for the container."),
    Flag("labels", help="Comma separated labels to apply to the pod. Will override previous values.", short="l"),
    Flag("leave-stdin-open", "bool", "If the pod is started in interactive mode or with stdin, leave stdin open."),
    Flag("override-type", help="The method used to override the generated object: json, merge, or strategic.", default="merge"),
    Flag("overrides", help="An inline JSON override for the generated object."),
    Flag("pod-running-timeout", "duration", "The length of time to wait until at least one pod is running", default=60.0),
    Flag("port", help="The port that this container exposes."),
    Flag("privileged", "bool", "If true, run the container in privileged mode."),
    Flag("quiet", "bool", "If true, suppress prompt messages.", short="q"),
    Flag("restart", help="The restart policy for this Pod.  Legal values [Always, OnFailure, Never].", default="Always"),
    Flag("rm", "bool", "If true, delete the pod after it exits.  Only valid when attaching to the container."),
    Flag("save-config", "bool", "If true, the configuration of current object will be saved in its annotation."),
    Flag("stdin", "bool", "Keep stdin open on the container in the pod, even if nothing is attached.", short="i"),
    Flag("timeout", "duration", "The length of time to wait before giving up on a delete, zero means no limit."),
    Flag("tty", "bool", "Allocate a TTY for the container in the pod.", short="t"),
    Flag("wait", "bool", "If true, wait for resources to be gone before returning. This waits for finalizers.", default=True),
    *common.PRINTING,
)
_IMAGE = re.compile(r"[a-zA-Z0-9][\w.:/@\-]*", re.ASCII)
_LOOK_S = 0.2


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    if not flags.changed("image"):
        raise PlainError('error: required flag(s) "image" not set')
    attach = _check(ctx, flags, args)
    writer = Writer(ctx, "kubectl-run")
    if flags.on("expose"):
        await _create(ctx, writer, _service(flags, args[0]), told=True)
    obj = _pod(flags, args[0], args[1:])
    obj = overridden(obj, flags.text("overrides"), flags.text("override-type"))
    if flags.on("save-config"):
        obj = annotate(obj)
    if ctx.namespace_set:
        obj["metadata"]["namespace"] = ctx.namespace
    info = await _create(ctx, writer, obj, told=not attach)
    return await _attached(ctx, flags, writer, info) if attach else 0


def _check(ctx: Context, flags: Flags, args: list[str]) -> bool:
    """Whether to attach."""

    def wrong(text: str) -> UsageError:
        return UsageError(ctx.command, text)

    if not args:
        raise wrong("NAME is required for run")
    attach = flags.on("attach") if flags.changed("attach") else flags.on("stdin") or flags.on("tty")
    if flags.on("tty") and not flags.on("stdin"):
        raise KubectlError("-i/--stdin is required for containers with -t/--tty=true")
    if flags.on("expose") and not flags.text("port"):
        raise wrong("--port must be set when exposing a service")
    if not flags.text("image"):
        raise KubectlError("--image is required")
    if not _IMAGE.fullmatch(flags.text("image")):
        raise KubectlError(f'Invalid image name "{flags.text("image")}": invalid reference format')
    if attach and flags.text("dry-run") != "none":
        raise wrong("--dry-run=[server|client] can't be used with attached containers options (--attach, --stdin, or --tty)")
    if flags.on("rm") and not attach:
        raise wrong("--rm should only be used for attached containers")
    if flags.text("image-pull-policy") not in ("", "Always", "IfNotPresent", "Never"):
        raise wrong(f"invalid image pull policy: {flags.text('image-pull-policy')}")
    if flags.text("restart") not in ("Always", "OnFailure", "Never"):
        raise wrong(f"invalid restart policy: {flags.text('restart')}")
    return attach


def _pod(flags: Flags, name: str, words: list[str]) -> Obj:
    container: Obj = {"image": flags.text("image"), "name": name, "resources": {}}
    if words:
        container["command" if flags.on("command") else "args"] = words
    if flags.texts("env"):
        container["env"] = [_variable(text) for text in flags.texts("env")]
    if policy := flags.text("image-pull-policy"):
        container["imagePullPolicy"] = policy
    if port := flags.text("port"):
        container["ports"] = [{"containerPort": _port(port)}]
    if flags.on("privileged"):
        container["securityContext"] = {"privileged": True}
    if flags.on("stdin"):
        container["stdin"] = True
        container["stdinOnce"] = not flags.on("leave-stdin-open")
    if flags.on("tty"):
        container["tty"] = True
    metadata: Obj = {"creationTimestamp": None, "labels": _labels(flags, name), "name": name}
    if flags.texts("annotations"):
        metadata["annotations"] = dict(_pair(text, "annotation") for text in flags.texts("annotations"))
    spec = {"containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": flags.text("restart")}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {}}


def _service(flags: Flags, name: str) -> Obj:
    port = _port(flags.text("port"))
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"creationTimestamp": None, "name": name},
        "spec": {"ports": [{"port": port, "protocol": "TCP", "targetPort": port}], "selector": _labels(flags, name)},
        "status": {"loadBalancer": {}},
    }


def _labels(flags: Flags, name: str) -> dict[str, str]:
    text = flags.text("labels")
    return dict(_pair(part, "label") for part in text.split(",")) if text else {"run": name}


def _pair(text: str, what: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise KubectlError(f"unexpected {what} spec: {text}")
    return key, value


def _variable(text: str) -> Obj:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise KubectlError(f"invalid env: {text}")
    return {"name": name, "value": value}


def _port(text: str) -> int:
    if not text.isdecimal():
        raise KubectlError(f'strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)


async def _create(ctx: Context, writer: Writer, obj: Obj, *, told: bool) -> Info:
    mapping = await ctx.mapper.for_kind("", "v1", obj["kind"])
    info = Info(mapping, ctx.namespace, name_of(obj), "", obj)
    if not writer.local:
        info.refresh(await writer.create(info))
    if told:
        writer.tell(info, "created")
    return info


async def _attached(ctx: Context, flags: Flags, writer: Writer, info: Info) -> int:
    """Wait for the pod, attach as `kubectl attach` does, or show its log if it was too quick; the container's exit code."""
    phase = await _wait_for_phase(ctx, info, ("Running", "Succeeded", "Failed"), flags.seconds("pod-running-timeout"))
    try:
        if phase == "Running":
            await _attach_or_show_log(ctx, flags, info)
        else:
            await _show_log(ctx, info)
        return await _exit_code(ctx, flags, info)
    finally:
        if flags.on("rm"):
            await _remove(ctx, flags, writer, info)


async def _attach_or_show_log(ctx: Context, flags: Flags, info: Info) -> None:
    """It may have ended since it was seen to run."""
    try:
        await _attach(ctx, flags, info)
    except ExitError:
        raise
    except (KubectlError, StatusError) as error:
        ctx.complain(f"warning: couldn't attach to pod/{info.name}, falling back to streaming logs: {error}")
        await _show_log(ctx, info)


async def _attach(ctx: Context, flags: Flags, info: Info) -> None:
    from steersman.cli.kubectl.commands.exec import converse

    container, quiet = _first_container(info), flags.on("quiet")
    if flags.on("stdin") and not quiet:
        ctx.complain("If you don't see a command prompt, try pressing enter.")
    await converse(ctx, "attach", info.object, container, [], stdin=flags.on("stdin"), tty=flags.on("tty"), quiet=quiet)


async def _wait_for_phase(ctx: Context, info: Info, phases: tuple[str, ...], timeout_s: float) -> str:
    end = ctx.clock.monotonic() + timeout_s
    while True:
        info.refresh(await ctx.client.get(info.resource, info.name, info.namespace))
        phase = str(dig(info.object, "status", "phase", default=""))
        if phase in phases:
            return phase
        if ctx.clock.monotonic() >= end:
            raise KubectlError("timed out waiting for the condition")
        await ctx.clock.sleep(_LOOK_S)


async def _show_log(ctx: Context, info: Info) -> None:
    path = f"{info.resource.path(info.namespace, info.name, 'log')}?container={_first_container(info)}"
    text = await ctx.client.raw("GET", path, headers={"Accept": "*/*"})
    ctx.out.write(str(text))


def _first_container(info: Info) -> str:
    """Overrides may have named it otherwise than the pod."""
    return str(info.object["spec"]["containers"][0]["name"])


async def _exit_code(ctx: Context, flags: Flags, info: Info) -> int:
    """Of a pod that is not started again; those that are have none to report."""
    if flags.text("restart") == "Always" or flags.on("leave-stdin-open"):
        return 0
    phase = await _wait_for_phase(ctx, info, ("Succeeded", "Failed"), 24 * 3600.0)
    if phase == "Succeeded":
        return 0
    code = dig(info.object, "status", "containerStatuses", 0, "state", "terminated", "exitCode", default=1)
    ctx.complain(f"pod {info.namespace}/{info.name} terminated (Error)")
    return int(code)


async def _remove(ctx: Context, flags: Flags, writer: Writer, info: Info) -> None:
    options: Obj = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
    if flags.number("grace-period") >= 0:
        options["gracePeriodSeconds"] = flags.number("grace-period")
    await writer.delete(info, options)
    if not flags.on("quiet"):
        ctx.print(f'pod "{info.name}" deleted')
    await wait_until_gone(ctx, info, uid_of(info.object), flags.seconds("timeout"))
