"""Flags of API servers that `steersman apiserver` and `steersman up` share: encryption at rest, audit. Upstream's names."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from steersman.cluster.apioptions import ApiOptions
from steersman.cluster.commands import standalone

_DEFAULTS = ApiOptions()


def configure(parser: argparse.ArgumentParser) -> None:
    """What is not given is not in the namespace: then it stays as it is."""
    group = parser.add_argument_group("encryption at rest")
    add = _adder(group)
    add("--encryption-provider-config", metavar="FILE", help="an EncryptionConfiguration: which resources, with which keys")
    help_ = "take the file up when it changes, without a restart"
    reload: dict[str, Any] = {"nargs": "?", "const": True, "type": _truth, "metavar": "true|false", "help": help_}
    add("--encryption-provider-config-automatic-reload", **reload)
    group = parser.add_argument_group("audit")
    add = _adder(group)
    add("--audit-policy-file", metavar="FILE", help="a Policy: of which requests how much is recorded")
    add("--audit-log-path", metavar="FILE", help="where to; - is standard out")
    add("--audit-log-maxage", type=int, metavar="DAYS", help=_told("days that old files are kept, 0: for ever", "maxage"))
    add("--audit-log-maxbackup", type=int, metavar="N", help=_told("how many old files are kept, 0: all", "maxbackup"))
    add("--audit-log-maxsize", type=int, metavar="MB", help=_told("size at which a file is put aside, 0: never", "maxsize"))
    add("--audit-log-format", metavar="json", help="form of the lines; json is the only one")
    help_ = "whether a request waits for its line (blocking, the default) or lines are written beside (batch)"
    add("--audit-log-mode", metavar="MODE", help=help_)
    help_ = "a kubeconfig: the server that events are posted to, in batches"
    add("--audit-webhook-config-file", metavar="FILE", help=help_)
    help_ = f"events in a batch (default {_DEFAULTS.audit_webhook_batch_max_size})"
    add("--audit-webhook-batch-max-size", type=int, metavar="N", help=help_)
    help_ = f"how long a batch gathers (default {_DEFAULTS.audit_webhook_batch_max_wait:g}s)"
    add("--audit-webhook-batch-max-wait", type=standalone.seconds, metavar="DURATION", help=help_)
    help_ = f"the pause before a batch is tried again (default {_DEFAULTS.audit_webhook_initial_backoff:g}s)"
    add("--audit-webhook-initial-backoff", type=standalone.seconds, metavar="DURATION", help=help_)


def _adder(group: argparse._ArgumentGroup) -> Any:
    def add(flag: str, **how: Any) -> None:
        group.add_argument(flag, default=argparse.SUPPRESS, **how)

    return add


def _truth(text: str) -> bool:
    """As Go's flags take it, as argparse wants it said."""
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text} is neither true nor false")
    return text.lower() == "true"


def _told(what: str, limit: str) -> str:
    return f"{what} (default {getattr(_DEFAULTS, f'audit_log_{limit}')})"


def given(args: argparse.Namespace) -> dict[str, Any]:
    """What was on the command line, by the names of ApiOptions."""
    return {field.name: getattr(args, field.name) for field in dataclasses.fields(ApiOptions) if hasattr(args, field.name)}
