"""Real etcd members on loopback for tests, each the test's own process with a data directory of its own, on ephemeral ports."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.ports import reserved

START_S = 120
"""For EtcdStore.open: how long an etcd may take to start, on a machine that has much else to do."""


def free_ports(count: int) -> list[int]:
    return [reserved() for _ in range(count)]


@dataclass
class Member:
    """One etcd. It may be killed and started again on the same data."""

    name: str
    client_port: int
    peer_port: int
    data: Path
    cluster: str
    tls: tuple[Path, Path, Path] | None = None
    """The CA, the server's certificate and its key; clients then need a certificate of the same CA."""
    process: subprocess.Popen[bytes] | None = None
    options: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.client_port}"

    def start(self) -> None:
        peer = f"http://127.0.0.1:{self.peer_port}"
        command = ["etcd", "--name", self.name, "--data-dir", str(self.data), "--initial-cluster", self.cluster]
        command += ["--listen-client-urls", self.url, "--advertise-client-urls", self.url]
        command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        command += ["--heartbeat-interval", "50", "--election-timeout", "500", "--max-request-bytes", "1572864"]
        if self.tls:
            ca, cert, key = self.tls
            command += ["--client-cert-auth", f"--trusted-ca-file={ca}", f"--cert-file={cert}", f"--key-file={key}"]
        command += self.options
        with open(f"{self.data}.log", "ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, cwd=self.data.parent)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def members(folder: Path, count: int = 1, tls: tuple[Path, Path, Path] | None = None) -> Sequence[Member]:
    """The members of a new cluster, not started."""
    ports = free_ports(2 * count)
    cluster = ",".join(f"m{n}=http://127.0.0.1:{ports[count + n]}" for n in range(count))
    return [Member(f"m{n}", ports[n], ports[count + n], folder / f"m{n}", cluster, tls) for n in range(count)]
