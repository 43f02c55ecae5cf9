"""`kubectl config`: the kubeconfig files. store.py reads and writes them, view.py shows, names.py works on whole entries,
entries.py on fields of one, properties.py on single values by a path."""

from __future__ import annotations

SUMMARY = 'Modify kubeconfig files using subcommands like "kubectl config set current-context my-context".'
USAGE = "config SUBCOMMAND [options]"

_HERE = "steersman.cli.kubectl.commands.config."
SUBCOMMANDS = {
    "current-context": _HERE + "names:CURRENT_CONTEXT",
    "delete-cluster": _HERE + "names:DELETE_CLUSTER",
    "delete-context": _HERE + "names:DELETE_CONTEXT",
    "delete-user": _HERE + "names:DELETE_USER",
    "get-clusters": _HERE + "names:GET_CLUSTERS",
    "get-contexts": _HERE + "view:GET_CONTEXTS",
    "get-users": _HERE + "names:GET_USERS",
    "rename-context": _HERE + "names:RENAME_CONTEXT",
    "set": _HERE + "properties:SET",
    "set-cluster": _HERE + "entries:SET_CLUSTER",
    "set-context": _HERE + "entries:SET_CONTEXT",
    "set-credentials": _HERE + "entries:SET_CREDENTIALS",
    "unset": _HERE + "properties:UNSET",
    "use": _HERE + "names:USE_CONTEXT",
    "use-context": _HERE + "names:USE_CONTEXT",
    "view": _HERE + "view:VIEW",
}
