"""`kubectl auth`: who one is, and what one may do. Not here: reconcile."""

SUMMARY = "Inspect authorization."
USAGE = "auth [flags] [options]"
SUBCOMMANDS = {
    "can-i": "steersman.cli.kubectl.commands.auth.can_i:CAN_I",
    "whoami": "steersman.cli.kubectl.commands.auth.whoami:WHOAMI",
}
