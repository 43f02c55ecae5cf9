"""An etcd of the cluster's own, a part of `up --store etcd`: one member, on loopback, with a CA that signs for nobody else."""

from __future__ import annotations

import os
import shutil

from steersman.cluster.settings import ClusterSettings, Paths, SettingsError

PROCESS = "steersman-etcd"
"""Parts are recognized by their processes' names, and a program's is the name by which it was started."""


def command(paths: Paths, settings: ClusterSettings) -> list[str]:
    """Clients and members need a certificate of etcd's own CA; the API server compacts, so etcd does not."""
    client = f"https://127.0.0.1:{settings.etcd_port}"
    peer = f"https://127.0.0.1:{settings.etcd_peer_port}"
    pki = paths.pki / "etcd"
    words = [PROCESS, "--name=default", f"--data-dir={paths.etcd}", f"--initial-cluster=default={peer}"]
    words += [f"--listen-client-urls={client}", f"--advertise-client-urls={client}"]
    words += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"]
    for side in ("", "peer-"):
        words += [f"--{side}client-cert-auth", f"--{side}trusted-ca-file={pki / 'ca.crt'}"]
        words += [f"--{side}cert-file={pki / 'server.crt'}", f"--{side}key-file={pki / 'server.key'}"]
    # The gateway would be a client of its own server, for which the server's certificate is not made.
    return [*words, "--enable-grpc-gateway=false", "--logger=zap", "--log-level=warn"]


def become(paths: Paths, settings: ClusterSettings) -> None:
    """Turn this process into etcd; never returns. Raises SettingsError, OSError."""
    program = shutil.which("etcd")
    if program is None:
        raise SettingsError("etcd is missing: apt-get install etcd-server")
    paths.etcd.mkdir(mode=0o700, parents=True, exist_ok=True)
    named = paths.run / PROCESS
    named.unlink(missing_ok=True)
    named.symlink_to(program)
    os.execv(named, command(paths, settings))
