"""The process of the API server, with its store: the only one that opens it."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from steersman.cluster import accessoptions, apioptions
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.machinery.clock import Clock

if TYPE_CHECKING:
    from steersman.apiserver.config import ServerConfig
    from steersman.store.interface import Store


async def apiserver(paths: Paths, settings: ClusterSettings, clock: Clock) -> None:
    """The API server over the store that was chosen, until cancelled."""
    from steersman.apiserver.config import ServerConfig
    from steersman.cluster import frontproxy

    config = ServerConfig(
        secure_port=settings.secure_port,
        advertise_address=settings.advertise_address,
        tls_cert=paths.pki / "apiserver.crt",
        tls_key=paths.pki / "apiserver.key",
        client_ca=paths.pki / "ca.crt",
        service_account_key=paths.pki / "sa.key",
        service_account_issuer=f"https://kubernetes.default.svc.{settings.cluster_domain}",
        api_audiences=(f"https://kubernetes.default.svc.{settings.cluster_domain}",),
        kubelet_client_cert=paths.pki / "apiserver-kubelet-client.crt",
        kubelet_client_key=paths.pki / "apiserver-kubelet-client.key",
        kubelet_ca=paths.pki / "ca.crt",
        service_cidr=settings.service_cidr,
        node_port_range=settings.node_ports,
    )
    config = frontproxy.into(paths, config)
    config = accessoptions.into(settings.access, apioptions.into(settings.api, config))
    await serve_api(config, lambda: _store(paths, settings, clock), clock)


async def _store(paths: Paths, settings: ClusterSettings, clock: Clock) -> Store:
    if settings.store == "etcd":
        from steersman.store.etcd import EtcdStore
        from steersman.store.etcd_calls import TLS

        if settings.etcd_servers:
            files = (settings.etcd_cafile, settings.etcd_certfile, settings.etcd_keyfile)
            return await EtcdStore.open(settings.etcd_servers, TLS(*(Path(file) if file else None for file in files)), clock)
        client = paths.pki / "apiserver-etcd-client"
        tls = TLS(paths.pki / "etcd" / "ca.crt", client.with_suffix(".crt"), client.with_suffix(".key"))
        return await EtcdStore.open([f"https://127.0.0.1:{settings.etcd_port}"], tls, clock)
    from steersman.store.sqlite import SQLiteStore

    return await SQLiteStore.open(paths.store, clock, overwrite=bool(settings.api.encryption_provider_config))


async def serve_api(config: ServerConfig, open_store: Callable[[], Awaitable[Store]], clock: Clock) -> None:
    """An API server over a store of its own, until cancelled."""
    from steersman.apiserver.run import APIServer

    # The SQLite store's thread hands over in bursts: with the default of 5 ms requests wait for it (measured: POST +12 %).
    sys.setswitchinterval(0.001)
    store = await open_store()
    try:
        server = APIServer(config, store, clock)
        await server.start()
        # What is there now stays; of what comes, little is cyclic, so looking for cycles can be rare.
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        try:
            await asyncio.Event().wait()
        finally:
            await server.stop()
    finally:
        await store.close()
