"""Ports on loopback for programs that cannot say which one the kernel gave them: nobody else takes them until they are bound.

A port that is picked free, let go and bound by a program a moment later may be another's by then: any connection to anywhere
gets one. These are below the range of those, and each is held by a socket of an abstract name for as long as the process lives,
so that another run of the tests on the same machine passes it over.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager

_RANGE = range(16000, 30000)
"""Above what is well known, below node ports and the ports of connections."""
_chance = random.Random(os.getpid())


def reserved() -> int:
    """A port for this process, and the programs that it starts, alone."""
    while True:
        port = _chance.choice(_RANGE)
        mark = socket.socket(socket.AF_UNIX)
        try:
            mark.bind(f"\0steersman-tests-port-{port}")
            with socket.create_server(("127.0.0.1", port)):
                mark.detach()
                return port
        except OSError:
            mark.close()


@contextmanager
def deaf() -> Iterator[int]:
    """A port where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield int(bound.getsockname()[1])
