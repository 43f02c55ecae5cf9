"""`kubectl rollout`: how Deployments, DaemonSets and StatefulSets come from one template to the next.

status.py waits, history.py shows revisions, undo.py goes back to one (revisions.py finds them), toggles.py pauses,
resumes and restarts.
"""

from __future__ import annotations

SUMMARY = """Manage the rollout of one or many resources.

 Valid resource types include:

  *  deployments
  *  daemonsets
  *  statefulsets"""
USAGE = "rollout SUBCOMMAND [options]"
EXAMPLES = """  # Rollback to the previous deployment
  kubectl rollout undo deployment/abc

  # Check the rollout status of a daemonset
  kubectl rollout status daemonset/foo

  # Restart a deployment
  kubectl rollout restart deployment/abc"""

_HERE = "steersman.cli.kubectl.commands.rollout."
SUBCOMMANDS = {
    "history": _HERE + "history:HISTORY",
    "pause": _HERE + "toggles:PAUSE",
    "restart": _HERE + "toggles:RESTART",
    "resume": _HERE + "toggles:RESUME",
    "status": _HERE + "status:STATUS",
    "undo": _HERE + "undo:UNDO",
}
