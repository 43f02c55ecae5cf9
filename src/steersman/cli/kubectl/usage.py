"""Help texts, laid out as upstream's: of kubectl as a whole, of one command; and what is said about an unknown one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from steersman.cli.kubectl.command import Command, load
from steersman.cli.kubectl.flags import Flag

GROUPS = {
    "Basic Commands (Beginner):": ("create", "expose", "run", "set"),
    "Basic Commands (Intermediate):": ("explain", "get", "edit", "delete"),
    "Deploy Commands:": ("rollout", "scale", "autoscale"),
    "Cluster Management Commands:": ("certificate", "cluster-info", "top", "cordon", "uncordon", "drain", "taint"),
    "Troubleshooting and Debugging Commands:": (
        "describe", "logs", "attach", "exec", "port-forward", "proxy", "cp", "auth", "debug", "events",
    ),
    "Advanced Commands:": ("diff", "apply", "patch", "replace", "wait", "kustomize"),
    "Settings Commands:": ("label", "annotate", "completion"),
    "Other Commands:": ("api-resources", "api-versions", "config", "plugin", "version"),
}  # fmt: skip

_MORE = """Use "kubectl <command> --help" for more information about a given command.
Use "kubectl options" for a list of global command-line options (applies to all commands).
"""
_CLOSE = 2


def top(verbs: Mapping[str, str]) -> str:
    """`kubectl --help`."""
    parts = ["kubectl controls the Kubernetes cluster manager.\n\n"]
    parts.append(" Find more information at: https://kubernetes.io/docs/reference/kubectl/\n\n")
    for title, names in GROUPS.items():
        known = [name for name in names if name in verbs]
        if known:
            lines = "".join(f"  {name:<15} {load(verbs[name]).summary.partition(chr(10))[0].rstrip('.')}\n" for name in known)
            parts.append(f"{title}\n{lines}\n")
    return "".join(parts) + f"Usage:\n  kubectl [flags] [options]\n\n{_MORE}"


def of(name: str, command: Command) -> str:
    """`kubectl NAME --help`."""
    parts = [command.summary.strip("\n") + "\n\n"]
    if command.examples:
        parts.append(f"Examples:\n{command.examples.strip(chr(10))}\n\n")
    if command.subcommands:
        wide = max(map(len, command.subcommands)) + 2
        lines = (f"  {sub:<{wide}} {_first_line(where)}\n" for sub, where in sorted(command.subcommands.items()))
        parts.append(f"Available Commands:\n{''.join(lines)}\n")
    if command.flags:
        shown = "\n".join(_option(flag) for flag in sorted(command.flags, key=lambda flag: flag.name))
        parts.append(f"Options:\n{shown}\n")
    parts.append(f"Usage:\n  kubectl {command.usage}\n\n")
    if command.subcommands:
        parts.append(f'Use "kubectl {name} <command> --help" for more information about a given command.\n')
    return "".join(parts) + 'Use "kubectl options" for a list of global command-line options (applies to all commands).\n'


def unknown(word: str, verbs: Iterable[str]) -> str:
    """The error about a verb that does not exist, with those one may have meant."""
    near = [verb for verb in verbs if _distance(word, verb) <= _CLOSE or verb.startswith(word)]
    hint = "\n\nDid you mean this?\n" + "".join(f"\t{verb}\n" for verb in near) if near else "\nRun 'kubectl --help' for usage."
    return f'Error: unknown command "{word}" for "kubectl"{hint}'


def _first_line(where: str) -> str:
    return load(where).summary.partition("\n")[0].rstrip(".")


def _option(flag: Flag) -> str:
    lead = f"-{flag.short}, " if flag.short else ""
    return f"    {lead}--{flag.name}={_default(flag)}:\n\t{flag.help}\n"


def _default(flag: Flag) -> str:
    value = flag.start
    match flag.kind:
        case "bool":
            return "true" if value else "false"
        case "int":
            return str(value)
        case "duration":
            from steersman.machinery import duration

            return duration.format_go(value)
        case "strings" | "array":
            return f"[{','.join(value)}]"
    return f"'{value}'"


def _distance(left: str, right: str) -> int:
    """Levenshtein's."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        above, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (a != b))
    return row[-1]
