"""`steersman kubectl`: finds the verb, reads its flags, runs it, tells errors as upstream's kubectl does.

Not here: what verbs do (commands/), help texts (usage.py).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from steersman.cli.kubectl.command import Command, load
from steersman.cli.kubectl.context import GLOBAL_FLAGS, Context
from steersman.cli.kubectl.errors import ExitError, FlagError, KubectlError, UsageError, describe, exit_code
from steersman.cli.kubectl.flags import Flags, FlagSet, HelpWanted
from steersman.machinery.errors import StatusError

_HERE = "steersman.cli.kubectl.commands."

VERBS = {
    "explain": _HERE + "explain",
    "wait": _HERE + "wait",
    "port-forward": _HERE + "port_forward",
    "logs": _HERE + "logs",
    "exec": _HERE + "exec",
    "cp": _HERE + "cp",
    "attach": _HERE + "attach",
    "cordon": _HERE + "cordon:CORDON",
    "drain": _HERE + "drain",
    "taint": _HERE + "taint",
    "uncordon": _HERE + "cordon:UNCORDON",
    "auth": _HERE + "auth",
    "rollout": _HERE + "rollout",
    "config": _HERE + "config",
    "cluster-info": _HERE + "cluster_info",
    "version": _HERE + "version",
    "api-versions": _HERE + "api_versions",
    "api-resources": _HERE + "api_resources",
    "describe": _HERE + "describe",
    "events": _HERE + "events",
    "annotate": _HERE + "metadata:ANNOTATE",
    "apply": _HERE + "apply",
    "create": _HERE + "create",
    "edit": _HERE + "edit",
    "expose": _HERE + "expose",
    "label": _HERE + "metadata:LABEL",
    "patch": _HERE + "patch",
    "replace": _HERE + "replace",
    "run": _HERE + "run",
    "scale": _HERE + "scale",
    "set": _HERE + "set",
    "delete": _HERE + "delete",
    "get": _HERE + "get",
    "top": _HERE + "top",
}
"""Verb to module. usage.py has the groups in which help shows them."""

_INTERRUPTED = 130


def main(argv: Sequence[str], *, default_kubeconfig: Path | None = None) -> int:
    """Run a command line (without `kubectl`) and return its exit code. `default_kubeconfig`: used if nothing else says one."""
    try:
        return _run(argv, default_kubeconfig)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has seen enough. The interpreter would complain when it flushes stdout at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


class Line(NamedTuple):
    """A command line as understood. `shared`: the global flags, without those that the verb has its own of."""

    name: str
    command: Command
    flags: Flags
    shared: Flags
    args: list[str]


def parse(argv: Sequence[str]) -> Line | None:
    """None for `kubectl` alone. Raises FlagError, UsageError, HelpWanted (with the command's name and itself)."""
    name, command, rest = _find(_words(argv), list(argv))
    if command is None:
        return None
    flag_set = FlagSet(f"kubectl {name}", (*GLOBAL_FLAGS, *command.flags))
    try:
        flags, args = flag_set.parse(rest)
    except HelpWanted:
        raise HelpWanted(name, command) from None
    if command.run is None and args:
        raise UsageError(name, f'unknown command "{args[0]}"')
    shared = flags.masked(flag for flag in GLOBAL_FLAGS if flag_set.flags[flag.name] is not flag)
    return Line(name, command, flags, shared, args)


def _run(argv: Sequence[str], default_kubeconfig: Path | None) -> int:
    try:
        line = parse(argv)
    except HelpWanted as wanted:
        sys.stdout.write(_usage(*wanted.args))
        return 0
    except (FlagError, UsageError) as error:
        sys.stderr.write(error.text() + "\n")
        return error.exit_code
    if line is None:
        from steersman.cli.kubectl import usage

        sys.stdout.write(usage.top(VERBS))
        return 0
    if line.command.run is None:
        sys.stderr.write(_usage(line.name, line.command))
        return 1
    import asyncio

    ctx = Context(line.name, line.flags, line.shared, default_kubeconfig=default_kubeconfig)
    code = asyncio.run(run_line(line, ctx))
    ctx.out.flush()
    return code


async def run_line(line: Line, ctx: Context) -> int:
    """Run the verb; what goes wrong is told on ctx.err. The exit code."""
    assert line.command.run is not None
    try:
        code = await line.command.run(ctx, line.flags, line.args)
        if ctx.warnings and line.flags.on("warnings-as-errors"):
            ctx.complain(f"error: {ctx.warnings} warning{'s' if ctx.warnings > 1 else ''} received")
            code = 1
        return code
    except Exception as raised:
        error = _first(raised)
        if isinstance(error, ExitError):
            return error.exit_code
        if isinstance(error, BrokenPipeError) or not isinstance(error, KubectlError | StatusError | OSError | ValueError):
            raise error from None
        ctx.complain(describe(error).removesuffix("\n"))
        return exit_code(error)
    finally:
        await ctx.close()


def _first(raised: Exception) -> Exception:
    """Of several things done at once, what failed first: the others were ended for it."""
    while isinstance(raised, ExceptionGroup):
        raised = raised.exceptions[0]
    return raised


def _usage(name: str, command: Command) -> str:
    from steersman.cli.kubectl import usage

    return usage.of(name, command)


def _words(argv: Sequence[str]) -> list[str]:
    """The words before `--` that are no flags. Global flags may stand before the verb."""
    bare = {flag.name for flag in GLOBAL_FLAGS if not flag.takes_value}
    words: list[str] = []
    skip = False
    for word in argv:
        if skip:
            skip = False
        elif word == "--":
            break
        elif word.startswith("--"):
            skip = "=" not in word and word[2:] not in bare and word != "--help"
        elif word.startswith("-") and len(word) == 2:
            skip = word != "-h"
        elif not word.startswith("-") and word:
            words.append(word)
    return words


def _find(words: list[str], argv: list[str]) -> tuple[str, Command | None, list[str]]:
    """The command of a line (`rollout status`), and the line without its words."""
    if words[:1] == ["help"]:
        words = words[1:]
        argv = _without(argv, "help")
        argv.append("--help")
    if not words or words[0] not in VERBS:
        if not words:
            _check_top(argv)
            return "", None, argv
        if argv[0].startswith("-"):
            # Upstream looks for a plugin by then.
            raise FlagError(f"Error: flags cannot be placed before plugin name: {argv[0]}")
        from steersman.cli.kubectl import usage

        raise FlagError(usage.unknown(words[0], VERBS))
    names, command = [words[0]], load(VERBS[words[0]])
    argv = _without(argv, words[0])
    for word in words[1:]:
        full = command.aliases.get(word, word)
        where = command.subcommands.get(full)
        if where is None:
            break
        names.append(full)
        command = load(where)
        argv = _without(argv, word)
    return " ".join(names), command, argv


def _check_top(argv: list[str]) -> None:
    """`kubectl` alone shows its help, whatever global flags stand beside it; unknown ones are told."""
    try:
        FlagSet("kubectl", GLOBAL_FLAGS).parse(argv)
    except HelpWanted:
        pass


def _without(argv: list[str], word: str) -> list[str]:
    place = argv.index(word)
    return [*argv[:place], *argv[place + 1 :]]
