"""`kubectl set`: one thing of an object that has a subcommand of its own."""

from __future__ import annotations

SUMMARY = """Configure application resources.

 These commands help you make changes to existing application resources."""
USAGE = "set SUBCOMMAND [options]"
_HERE = "steersman.cli.kubectl.commands.set."
SUBCOMMANDS = {
    "env": _HERE + "env:ENV",
    "image": _HERE + "image:IMAGE",
    "resources": _HERE + "resources:RESOURCES",
    "selector": _HERE + "selector:SELECTOR",
    "serviceaccount": _HERE + "serviceaccount:SERVICE_ACCOUNT",
    "subject": _HERE + "subject:SUBJECT",
}
ALIASES = {"sa": "serviceaccount"}
