"""A client that asks a Service again and again, every time on a new connection, and counts what fails."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.harness import Cluster

_CLIENT = """
bad=0; good=0
ask() { if curl -sf --connect-timeout 15 --max-time 60 http://$1 >/dev/null; then good=$((good+1)); else bad=$((bad+1)); fi; }
ask $1; echo begun
trap 'echo "good=$good bad=$bad"; exit 0' TERM
while :; do ask $1; done
"""


class Counts:
    """Filled when the client has ended."""

    good = 0
    bad = 0


@contextmanager
def asking(cluster: Cluster, address: str) -> Iterator[Counts]:
    """Ask the address for as long as the block lasts, which begins when one request is over."""
    counts = Counts()
    client = cluster.popen("sh", "-c", _CLIENT, "client", address)
    try:
        assert client.stdout is not None and client.stdout.readline() == "begun\n"
        yield counts
    finally:
        # nsenter becomes the shell itself, so this is the client's own pid.
        client.send_signal(signal.SIGTERM)
        said, _ = client.communicate(timeout=240)
        found = dict(part.split("=") for part in said.split())
        counts.good, counts.bad = int(found["good"]), int(found["bad"])
