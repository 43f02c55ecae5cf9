"""Help texts, laid out as upstream's: of kubectl as a whole, of one command; and what is said about an unknown one."""

from __future__ import annotations

from collections.abc import Container, Iterable

from steersman.cli.kubectl.command import Command, load
from steersman.cli.kubectl.flags import Flag

GROUPS = {
    "Basic Commands (Beginner):": {
        "create": "Create a resource from a file or from stdin",
        "expose": "Take a replication controller, service, deployment or pod and expose it as a new Kubernetes service",
        "run": "Run a particular image on the cluster",
        "set": "Set specific features on objects",
    },
    "Basic Commands (Intermediate):": {
        "explain": "Get documentation for a resource",
        "get": "Display one or many resources",
        "edit": "Edit a resource on the server",
        "delete": "Delete resources by file names, stdin, resources and names, or by resources and label selector",
    },
    "Deploy Commands:": {
        "rollout": "Manage the rollout of a resource",
        "scale": "Set a new size for a deployment, replica set, or replication controller",
        "autoscale": "Auto-scale a deployment, replica set, stateful set, or replication controller",
    },
    "Cluster Management Commands:": {
        "certificate": "Modify certificate resources",
        "cluster-info": "Display cluster information",
        "top": "Display resource (CPU/memory) usage",
        "cordon": "Mark node as unschedulable",
        "uncordon": "Mark node as schedulable",
        "drain": "Drain node in preparation for maintenance",
        "taint": "Update the taints on one or more nodes",
    },
    "Troubleshooting and Debugging Commands:": {
        "describe": "Show details of a specific resource or group of resources",
        "logs": "Print the logs for a container in a pod",
        "attach": "Attach to a running container",
        "exec": "Execute a command in a container",
        "port-forward": "Forward one or more local ports to a pod",
        "proxy": "Run a proxy to the Kubernetes API server",
        "cp": "Copy files and directories to and from containers",
        "auth": "Inspect authorization",
        "events": "List events",
    },
    "Advanced Commands:": {
        "diff": "Diff the live version against a would-be applied version",
        "apply": "Apply a configuration to a resource by file name or stdin",
        "patch": "Update fields of a resource",
        "replace": "Replace a resource by file name or stdin",
        "wait": "Experimental: Wait for a specific condition on one or many resources",
    },
    "Settings Commands:": {
        "label": "Update the labels on a resource",
        "annotate": "Update the annotations on a resource",
    },
    "Other Commands:": {
        "api-resources": "Print the supported API resources on the server",
        "api-versions": 'Print the supported API versions on the server, in the form of "group/version"',
        "config": "Modify kubeconfig files",
        "version": "Print the client and server version information",
    },
}
"""Every verb of upstream's that there is or may be, with what it says of it in one line."""

_MORE = """Use "kubectl <command> --help" for more information about a given command.
Use "kubectl options" for a list of global command-line options (applies to all commands).
"""
_CLOSE = 2


def top(verbs: Container[str]) -> str:
    """`kubectl --help`."""
    parts = ["kubectl controls the Kubernetes cluster manager.\n\n"]
    parts.append(" Find more information at: https://kubernetes.io/docs/reference/kubectl/\n\n")
    for title, names in GROUPS.items():
        lines = "".join(f"  {name:<15} {text}\n" for name, text in names.items() if name in verbs)
        if lines:
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
    hint = "\n\nDid you mean this?\n" + "".join(f"\t{verb}\n" for verb in near) if near else ""
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
