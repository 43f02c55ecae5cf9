"""How `kubectl get` prints what is no table."""

from __future__ import annotations

from steersman.cli.kubectl.flags import Flags
from steersman.cli.kubectl.output import GET_FORMATS, Printer, PrintOptions, printer


def printer_of(flags: Flags) -> Printer:
    """For all formats but tables."""
    options = PrintOptions(
        template=flags.text("template"),
        managed_fields=flags.on("show-managed-fields"),
        allow_missing_keys=flags.on("allow-missing-template-keys"),
        no_headers=flags.on("no-headers"),
    )
    return printer(flags.text("output"), options, allowed=GET_FORMATS)
