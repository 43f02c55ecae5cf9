"""How much an API server does at once, how long requests may take, and how it ends: plain data, part of ServerConfig.

Defaults and meaning are those of upstream's flags (cluster/commands/servingflags.py); times are in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingSettings:
    """Of one server."""

    priority_and_fairness: bool = True
    """False: the two limits hold as they are, and nobody queues."""
    max_requests_inflight: int = 400
    max_mutating_requests_inflight: int = 200
    """With priority and fairness only their sum counts: the seats of the server. 0: no limit."""
    request_timeout_s: float = 60.0
    min_request_timeout_s: float = 1800.0
    """A watch that names no time lasts between this and twice as long."""
    shutdown_delay_s: float = 0.0
    """For so long a server that was told to end serves on, not ready, so that load balancers learn of it."""
    shutdown_send_retry_after: bool = False
    """New connections are taken while it ends, and told to come back (429), rather than refused."""
    shutdown_watch_grace_s: float = 5.0
    """How long the ends of watches may take to reach their clients. Upstream's default is 0: they are cut."""
    profiling: bool = True
    """Whether /debug/pprof/ and /debug/flags/v are served."""
