"""What the proxy sets in the kernel for connections it translates: how long connection tracking remembers them.

A connection whose one side has closed may stay so for long: within a minute, the kernel's own limit, it would be forgotten, and
what the other side sends then would come from an address the client does not know. Source: upstream's defaults of kube-proxy.
"""

from __future__ import annotations

import logging
from pathlib import Path

log = logging.getLogger(__name__)

_DIRECTORY = Path("/proc/sys/net/netfilter")
_CLOSE_WAIT, _CLOSE_WAIT_S = "nf_conntrack_tcp_timeout_close_wait", 3600


def set_timeouts(directory: Path = _DIRECTORY) -> None:
    """Raise what is lower; where it can't be (no right to, or no connection tracking), the kernel's limit stays."""
    path = directory / _CLOSE_WAIT
    try:
        if int(path.read_text()) < _CLOSE_WAIT_S:
            path.write_text(str(_CLOSE_WAIT_S))
    except (OSError, ValueError) as fault:
        log.warning("connection tracking keeps its limit name=%s error=%s", _CLOSE_WAIT, fault)
