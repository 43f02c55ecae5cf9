"""Flags of leader election, upstream's, and switches written as upstream's: `--leader-elect`, `--leader-elect=false`."""

from __future__ import annotations

import argparse

from steersman.cluster.leading import Election
from steersman.cluster.settings import SettingsError
from steersman.machinery import duration

_JITTER = 1.2
"""A candidate's pauses are up to so much longer than the retry period."""


def add_flags(parser: argparse.ArgumentParser, name: str) -> None:
    """`name`: of the lease, unless told otherwise."""
    group = parser.add_argument_group("leader election")
    add_switch(group, "--leader-elect", default=True, help="work only while holding the lease (default true)")
    group.add_argument(
        "--leader-elect-lease-duration",
        default="15s",
        metavar="DURATION",
        help="how long others wait after the last renewal before they take over",
    )
    group.add_argument(
        "--leader-elect-renew-deadline", default="10s", metavar="DURATION", help="how long a leader that cannot renew goes on"
    )
    group.add_argument("--leader-elect-retry-period", default="2s", metavar="DURATION", help="how often the lease is asked for")
    group.add_argument("--leader-elect-resource-lock", default="leases", choices=("leases",), help="the kind of lock")
    group.add_argument("--leader-elect-resource-name", default=name, metavar="NAME", help=f"of the lease (default {name})")
    group.add_argument("--leader-elect-resource-namespace", default="kube-system", metavar="NAMESPACE", help="of the lease")


def add_switch(parser: argparse._ActionsContainer, flag: str, *, default: bool, help: str) -> None:
    parser.add_argument(flag, nargs="?", const=True, default=default, type=_switch, metavar="true|false", help=help)


def _switch(text: str) -> bool:
    """As Go's strconv.ParseBool."""
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")


def of(args: argparse.Namespace) -> Election | None:
    """None: without an election. Raises SettingsError."""
    if not args.leader_elect:
        return None
    lease_s = _seconds(args, "lease_duration")
    renew_s = _seconds(args, "renew_deadline")
    retry_s = _seconds(args, "retry_period")
    if lease_s <= renew_s:
        raise SettingsError("--leader-elect-lease-duration must be greater than --leader-elect-renew-deadline")
    if renew_s <= retry_s * _JITTER:
        raise SettingsError(f"--leader-elect-renew-deadline must be greater than {_JITTER} times --leader-elect-retry-period")
    return Election(
        name=args.leader_elect_resource_name,
        namespace=args.leader_elect_resource_namespace,
        lease_duration_s=lease_s,
        renew_deadline_s=renew_s,
        retry_period_s=retry_s,
    )


def _seconds(args: argparse.Namespace, name: str) -> float:
    text = getattr(args, f"leader_elect_{name}")
    try:
        seconds = duration.parse_go(text)
    except ValueError as fault:
        raise SettingsError(f"--leader-elect-{name.replace('_', '-')}: {fault}") from fault
    if seconds <= 0:
        raise SettingsError(f"--leader-elect-{name.replace('_', '-')} must be greater than zero")
    return seconds
