"""`kubectl attach`: the streams of a container's main process."""

from __future__ import annotations

from steersman.cli.kubectl.commands.exec import RUNNING_TIMEOUT, converse
from steersman.cli.kubectl.commands.picking import container_of, pod_to_talk_to
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.streaming import terminal
from steersman.machinery.meta import dig, name_of

SUMMARY = "Attach to a process that is already running inside an existing container."
USAGE = "attach (POD | TYPE/NAME) -c CONTAINER [options]"
EXAMPLES = """  # Get output from ruby-container from pod mypod
  kubectl attach mypod -c ruby-container

  # Switch to raw terminal mode; sends stdin to 'bash' in ruby-container from pod mypod
  kubectl attach mypod -c ruby-container -i -t"""
FLAGS = (
    Flag("container", help="Container name. If omitted, use the default container of the pod.", short="c"),
    RUNNING_TIMEOUT,
    Flag("quiet", "bool", "Only print output from the remote session", short="q"),
    Flag("stdin", "bool", "Pass stdin to the container", short="i"),
    Flag("tty", "bool", "Stdin is a TTY", short="t"),
)


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    if not args:
        raise KubectlError("at least 1 argument is required for attach")
    if len(args) > 2:
        raise KubectlError("expected fewer than three arguments: POD or TYPE/NAME or TYPE NAME")
    pod = await pod_to_talk_to(ctx, "/".join(args), flags.seconds("pod-running-timeout"))
    phase = dig(pod, "status", "phase", default="")
    if phase in ("Succeeded", "Failed"):
        raise KubectlError(f"cannot attach a container in a completed pod; current phase is {phase}")
    quiet, tty, stdin = flags.on("quiet"), flags.on("tty"), flags.on("stdin")
    try:
        container = container_of(ctx, pod, flags.text("container"), quiet=quiet)
    except KubectlError as error:
        raise KubectlError(f"cannot attach to the container: {error}") from None
    if tty and not container.get("tty") and not quiet:
        ctx.complain(f"error: Unable to use a TTY - container {container['name']} did not allocate one")
    # A terminal's output is one stream: asking for stderr of a container that has one would be refused.
    tty = bool(container.get("tty"))
    if not quiet:
        ctx.complain("If you don't see a command prompt, try pressing enter.")
    code = await converse(ctx, "attach", pod, container["name"], [], stdin=stdin, tty=tty, quiet=quiet)
    if tty and stdin and not quiet and terminal.is_terminal(ctx.stdin) and dig(pod, "spec", "restartPolicy") == "Always":
        ctx.print(
            f"Session ended, resume using 'kubectl attach {name_of(pod)} -c {container['name']} -i -t' command "
            "when the pod is running"
        )
    return code
