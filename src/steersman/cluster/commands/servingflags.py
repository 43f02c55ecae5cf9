"""Flags of `steersman apiserver` on how much it does at once, how long requests may take, and how it ends. Upstream's names."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from steersman.cluster.commands import standalone
from steersman.machinery import duration

if TYPE_CHECKING:
    from steersman.apiserver.serving import ServingSettings


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("requests and shutdown").add_argument
    switch: dict[str, Any] = {"nargs": "?", "const": True, "type": _truth, "metavar": "true|false"}
    help_ = "share the server out by FlowSchemas and PriorityLevelConfigurations (default true)"
    add("--enable-priority-and-fairness", default=True, help=help_, **switch)
    add("--max-requests-inflight", type=_count, default=400, metavar="N", help="reads served at once (default 400)")
    add("--max-mutating-requests-inflight", type=_count, default=200, metavar="N", help="writes served at once (default 200)")
    add("--request-timeout", type=standalone.seconds, default=60.0, metavar="DURATION", help="for any but watches (default 1m0s)")
    help_ = "a watch that names no time lasts once to twice as long (default 1800)"
    add("--min-request-timeout", type=_count, default=1800, metavar="SECONDS", help=help_)
    help_ = "serve on for so long, not ready, when told to end (default 0s)"
    add("--shutdown-delay-duration", type=_wait, default=0.0, metavar="DURATION", help=help_)
    help_ = "while ending, answer new requests with 429 and Retry-After (default false)"
    add("--shutdown-send-retry-after", default=False, help=help_, **switch)
    help_ = "how long the ends of watches may take to reach their clients (default 5s)"
    add("--shutdown-watch-termination-grace-period", type=_wait, default=5.0, metavar="DURATION", help=help_)
    add("--profiling", default=True, help="serve /debug/pprof/ and /debug/flags/v (default true)", **switch)


def serving(args: argparse.Namespace) -> ServingSettings:
    from steersman.apiserver.serving import ServingSettings

    return ServingSettings(
        priority_and_fairness=args.enable_priority_and_fairness,
        max_requests_inflight=args.max_requests_inflight,
        max_mutating_requests_inflight=args.max_mutating_requests_inflight,
        request_timeout_s=args.request_timeout,
        min_request_timeout_s=args.min_request_timeout,
        shutdown_delay_s=args.shutdown_delay_duration,
        shutdown_send_retry_after=args.shutdown_send_retry_after,
        shutdown_watch_grace_s=args.shutdown_watch_termination_grace_period,
        profiling=args.profiling,
    )


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text} is neither true nor false")
    return text.lower() == "true"


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is no number of zero or more")
    return int(text)


def _wait(text: str) -> float:
    """A duration, zero as well."""
    try:
        found = duration.parse_go(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if found < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return found
