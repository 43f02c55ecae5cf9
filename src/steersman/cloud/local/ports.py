"""Whether a program of this machine listens on a port: the only question the local provider asks the machine."""

from __future__ import annotations

import errno
import socket

_TYPES = {"TCP": socket.SOCK_STREAM, "UDP": socket.SOCK_DGRAM}


def in_use(address: str, protocol: str, port: int) -> bool:
    """By trying to have the port oneself, for a moment. False also for what is not this machine's, or can't be known."""
    kind = _TYPES.get(protocol)
    if kind is None:
        return False
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind == socket.SOCK_STREAM:
            # Connections that linger after their program's end hold nobody up.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as fault:
            return fault.errno == errno.EADDRINUSE
    return False
