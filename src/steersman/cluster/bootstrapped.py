"""A kubelet that gets its certificates from the cluster: TLS bootstrap, then the kubelet with its certificates kept fresh."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from steersman.client import kubeconfig
from steersman.client.interface import Client
from steersman.client.patience import PatientTransport
from steersman.client.rest import RestClient
from steersman.cluster.process import client_for
from steersman.cluster.settings import SettingsError, write_private
from steersman.kubelet import certificates
from steersman.kubelet.certificates import Refused, Rotation
from steersman.kubelet.config import KubeletConfig
from steersman.machinery.clock import Clock

Kubelet: TypeAlias = Callable[[Client, KubeletConfig, Rotation | None], Awaitable[None]]


@dataclasses.dataclass(frozen=True, slots=True)
class Files:
    """`config` is written at the first start, with credentials in `directory`; `bootstrap` is only needed until then."""

    config: Path
    bootstrap: Path
    directory: Path


@dataclasses.dataclass(frozen=True, slots=True)
class Keeping:
    """Which certificates are kept fresh. client: rotateCertificates; serving: serverTLSBootstrap."""

    client: bool = True
    serving: bool = True


async def run(files: Files, config: KubeletConfig, clock: Clock, kubelet: Kubelet, keep: Keeping | None = None) -> None:
    """Until cancelled. Without a serving certificate in `config`, one is asked for; without a client CA, the cluster's is taken.

    keep: all certificates, if not said otherwise; a serving certificate that is not asked for is self-signed.
    Raises SettingsError if the node is refused.
    """
    keep = keep or Keeping()
    await ensure(files, config.node_name, clock)
    transport = kubeconfig.load(files.config)
    client = RestClient(PatientTransport(transport, clock), user_agent="steersman-kubelet", field_manager="kubelet")
    rotation = Rotation(client, clock, random.Random(), files.directory, config.node_name)
    try:
        serving = config.tls_cert_file is None and keep.serving
        config = _completed(files, config, rotation, serving, clock)
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(rotation.keep_client(transport.reload)) if keep.client else None
            await kubelet(client, config, rotation if serving else None)
            if keeping is not None:
                keeping.cancel()
    finally:
        await client.close()


async def ensure(files: Files, node: str, clock: Clock) -> None:
    """A kubeconfig with which this node is let in."""
    if files.config.exists() and certificates.load(files.directory / certificates.CLIENT_FILE, clock.now()) is not None:
        return
    async with client_for(files.bootstrap, "kubelet-bootstrap", clock) as client:
        try:
            await certificates.bootstrap(files.config, files.bootstrap, files.directory, node, client, clock)
        except Refused as error:
            raise SettingsError(str(error)) from error


def self_signed(config: KubeletConfig, directory: Path, clock: Clock) -> KubeletConfig:
    """With a serving certificate of the node's own making, as upstream's kubelet has without another."""
    path = directory / certificates.OWN_SERVING_FILE
    certificates.ensure_self_signed(path, config.node_name, clock.now())
    return dataclasses.replace(config, tls_cert_file=path, tls_private_key_file=path)


def _completed(files: Files, config: KubeletConfig, rotation: Rotation, serving: bool, clock: Clock) -> KubeletConfig:
    if config.tls_cert_file is None and not serving:
        config = self_signed(config, files.directory, clock)
    elif config.tls_cert_file is None:
        rotation.prepare_serving()
        config = dataclasses.replace(config, tls_cert_file=rotation.serving_file, tls_private_key_file=rotation.serving_file)
    if config.client_ca_file is None:
        ca = kubeconfig.resolve(kubeconfig.read(files.config)).ca
        if isinstance(ca, bytes):
            write_private(files.directory / "ca.crt", ca)
            ca = files.directory / "ca.crt"
        config = dataclasses.replace(config, client_ca_file=ca)
    return config
