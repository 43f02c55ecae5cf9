"""`kubectl exec`: runs a command in a container of a pod."""

from __future__ import annotations

from contextlib import ExitStack
from urllib.parse import quote, urlencode

from steersman.cli.kubectl import common
from steersman.cli.kubectl.commands.picking import PODS, default_container, pod_behind, pod_to_talk_to
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import ExitError, KubectlError, UsageError
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.streaming import remotecommand, terminal
from steersman.cli.kubectl.streaming.remotecommand import Streams
from steersman.client.rest import object_path
from steersman.machinery.meta import Obj, dig, name_of, namespace_of

SUMMARY = "Execute a command in a container."
USAGE = "exec (POD | TYPE/NAME) [-c CONTAINER] [flags] -- COMMAND [args...] [options]"
EXAMPLES = """  # Get output from running the 'date' command from pod mypod, using the first container by default
  kubectl exec mypod -- date

  # Switch to raw terminal mode; sends stdin to 'bash' in ruby-container from pod mypod
  kubectl exec mypod -c ruby-container -i -t -- bash -il

  # Get output from running 'date' command from the first pod of the deployment mydeployment
  kubectl exec deploy/mydeployment -- date"""
RUNNING_TIMEOUT = Flag(
    "pod-running-timeout",
    "duration",
    "The length of time (like 5s, 2m, or 3h, higher than zero) to wait until at least one pod is running",
    default=60.0,
)
FLAGS = (
    Flag("container", help="Container name. If omitted, use the default container of the pod.", short="c"),
    common.FILENAME,
    RUNNING_TIMEOUT,
    Flag("quiet", "bool", "Only print output from the remote session", short="q"),
    Flag("stdin", "bool", "Pass stdin to the container", short="i"),
    Flag("tty", "bool", "Stdin is a TTY", short="t"),
)
_COMPLETED = ("Succeeded", "Failed")


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    files = flags.texts("filename")
    if flags.dash < 0 and len(args) > (0 if files else 1):
        raise UsageError(ctx.command, "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead")
    if not files and (not args or flags.dash == 0):
        raise KubectlError("pod, type/name or --filename must be specified")
    command = args[0 if files else 1 :] if flags.dash <= 1 else args[flags.dash :]
    if not command:
        raise KubectlError("you must specify at least one command for the container")
    wait_s = flags.seconds("pod-running-timeout")
    if files:
        from steersman.cli.kubectl.resources import Query, find

        infos = (await find(ctx, Query(files=files, latest=True))).checked()
        if len(infos) > 1:
            raise KubectlError("cannot exec into multiple objects at a time")
        pod = await pod_behind(ctx, infos[0].object, wait_s)
    else:
        pod = await pod_to_talk_to(ctx, args[0], wait_s)
    phase = dig(pod, "status", "phase", default="")
    if phase in _COMPLETED:
        raise KubectlError(f"cannot exec into a container in a completed pod; current phase is {phase}")
    container = flags.text("container") or default_container(ctx, pod, quiet=flags.on("quiet"))["name"]
    return await converse(
        ctx, "exec", pod, container, command, stdin=flags.on("stdin"), tty=flags.on("tty"), quiet=flags.on("quiet")
    )


async def converse(
    ctx: Context, subresource: str, pod: Obj, container: str, command: list[str], *, stdin: bool, tty: bool, quiet: bool
) -> int:
    """exec or attach, with the person's own terminal. The command's exit code, which is told if it is not zero."""
    real = tty and stdin and terminal.is_terminal(ctx.stdin)
    if tty and not real and not quiet:
        ctx.complain("Unable to use a TTY - input is not a terminal or the right kind of file")
    target = stream_path(pod, subresource, container, command, stdin=stdin, tty=real)
    with ExitStack() as stack:
        if real:
            stack.enter_context(terminal.raw_mode(ctx.stdin))
        streams = Streams(
            stdout=terminal.Sink(ctx.out),
            stderr=terminal.Sink(ctx.err),
            stdin=terminal.read_input(ctx.stdin) if stdin else None,
            sizes=terminal.sizes(ctx.stdin) if real else None,
        )
        code = await remotecommand.run(ctx, target, streams)
    if code:
        ctx.complain(f"command terminated with exit code {code}")
        raise ExitError(code)
    return 0


def stream_path(pod: Obj, subresource: str, container: str, command: list[str], *, stdin: bool, tty: bool) -> str:
    """A terminal has one output: what the command writes to stderr comes on stdout."""
    params = [("command", word) for word in command] + [("container", container)]
    params += [
        (name, "true") for name, wanted in (("stdin", stdin), ("stdout", True), ("stderr", not tty), ("tty", tty)) if wanted
    ]
    return f"{object_path(PODS, namespace_of(pod), name_of(pod), subresource)}?{urlencode(params, quote_via=quote)}"
