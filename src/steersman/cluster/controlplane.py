"""Another machine with an API server, scheduler and controllers, over the etcd that all of them share.

`offer()` is what `token create --control-plane` does, `join()` what `join --control-plane` does: as for a node, the cluster is
found and the token proves both sides; then the CA's keys are fetched (certbundle.py). With those the machine makes its own
certificates and is one like the first: from there on it is `up` that brings it up, now and later.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steersman.api import bootstraptokens
from steersman.api.resources import SECRETS
from steersman.client import kubeconfig
from steersman.client.interface import Client
from steersman.client.rest import RestClient
from steersman.cluster import certbundle, discovery, joining, sharedetcd, up
from steersman.cluster.apioptions import ApiOptions
from steersman.cluster.joining import JoinChoices
from steersman.cluster.progress import Progress
from steersman.cluster.settings import ClusterSettings, Paths, SettingsError, load, save, write_private
from steersman.cluster.sharedetcd import SharedEtcd
from steersman.cluster.waiting import UpError
from steersman.machinery.clock import Clock
from steersman.machinery.errors import Forbidden, NotFound, Unauthorized
from steersman.machinery.meta import uid_of

_SETTINGS = "cluster.json"
_PKI = ("ca.crt", "ca.key", "sa.key")
_FRONT_PROXY = ("front-proxy-ca.crt", "front-proxy-ca.key")
"""Not there in a cluster that was made before there were these, until its next `up`: the other machine then makes its own, and
servers of other group-versions believe both (apiserver/hooks/authentication_config.py)."""
_ETCD = {"cafile": "etcd-ca.crt", "certfile": "etcd-client.crt", "keyfile": "etcd-client.key"}
_ENCRYPTION = "encryption-provider-config.yaml"
"""Without its keys the other machine could not read what is in the etcd."""
_SHARED = (
    "secure_port",
    "cluster_domain",
    "cluster_cidr",
    "service_cidr",
    "dns_address",
    "node_ports",
    "etcd_servers",
    "load_balancer_pool",
    "node_monitor_grace_s",
    "apiserver_cert_extra_sans",
)
"""Settings that are the cluster's and not the machine's."""
_NO_KEY = "`steersman token create --control-plane` prints it, with the token it belongs to"


# --- where the cluster is ----------------------------------------------------------------------------------------------


def check_shareable(settings: ClusterSettings) -> None:
    """Raises SettingsError for a cluster whose objects are on one machine."""
    if not settings.etcd_servers:
        where = "an etcd on this machine's loopback" if settings.store == "etcd" else "a file on this machine"
        raise SettingsError(
            f"this cluster has its objects in {where}, so no other machine can serve them: a cluster with several control "
            "planes is made with `steersman up --etcd-servers`"
        )


async def offer(client: Client, paths: Paths, settings: ClusterSettings, token_id: str) -> str:
    """Lay ready what a control plane machine needs, for the holder of that token; the key that opens it."""
    token = await client.get(SECRETS, bootstraptokens.secret_name(token_id), bootstraptokens.NAMESPACE)
    key = certbundle.new_key()
    for resource, obj in certbundle.objects(token_id, uid_of(token), certbundle.seal(_files(paths, settings), key)):
        await client.create(resource, obj)
    return key


def _files(paths: Paths, settings: ClusterSettings) -> dict[str, bytes]:
    files = {name: (paths.pki / name).read_bytes() for name in _PKI}
    if all((paths.pki / name).exists() for name in _FRONT_PROXY):
        files |= {name: (paths.pki / name).read_bytes() for name in _FRONT_PROXY}
    for field, name in _ETCD.items():
        if path := getattr(settings, f"etcd_{field}"):
            files[name] = Path(path).read_bytes()
    if settings.api.encryption_provider_config:
        files[_ENCRYPTION] = Path(settings.api.encryption_provider_config).read_bytes()
    files[_SETTINGS] = json.dumps({name: getattr(settings, name) for name in _SHARED}).encode()
    return files


# --- where another machine joins ---------------------------------------------------------------------------------------


def join(paths: Paths, choices: JoinChoices, key: str, clock: Clock, progress: Progress) -> ClusterSettings:
    """Join, or bring the machine back that has joined. Raises SettingsError, DiscoveryError, UpError, StatusError."""
    server = joining.server_address(choices.server)
    if choices.pool or choices.labels:
        raise SettingsError("--pool and --labels are for machines that are nodes and nothing else")
    found = load(paths)
    if found is None:
        if not certbundle.is_key(key):
            raise SettingsError(f"--certificate-key must be 64 hexadecimal digits: {_NO_KEY}")
        wanted = joining.new_settings(paths, choices, server)
        asyncio.run(_be_admitted(paths, wanted, choices, key, clock, progress))
    elif found.joined_server or not found.etcd_servers:
        what = "is a node of a cluster elsewhere" if found.joined_server else "has a cluster of its own"
        raise SettingsError(f"this machine {what}, kept in {paths.state}: `steersman down --delete` first")
    return up.bring_up(paths, up.Choices(node_name=choices.node_name, advertise_address=choices.node_ip), clock, progress)


async def _be_admitted(
    paths: Paths, settings: ClusterSettings, choices: JoinChoices, key: str, clock: Clock, progress: Progress
) -> None:
    with progress.step("cluster") as notes:
        found = await discovery.discover(settings.joined_as, choices.token, choices.pins, clock)
        notes.append(settings.joined_as)
    connection = kubeconfig.Connection(f"https://{settings.joined_as}", ca=found.ca, token=choices.token)
    client = RestClient(connection.transport(), user_agent="steersman-join", field_manager="join")
    try:
        with progress.step("keys of the cluster") as notes:
            token_id = choices.token.partition(".")[0]
            files = await _fetch(client, token_id, key)
            await joining.check_name(client, settings)
            notes.append(f"{len(files)} files")
    except Unauthorized:
        raise SettingsError("the API server does not take the token: it has just expired") from None
    finally:
        await client.close()
    if files["ca.crt"] != found.ca:
        raise SettingsError(f"the keys laid ready for token {token_id} are another cluster's")
    made = install(paths, settings, files)
    why = await sharedetcd.complaint(SharedEtcd.of(made), clock)
    if why:
        # Whoever was not let in leaves nothing behind, least of all keys.
        shutil.rmtree(paths.pki)
        raise UpError(f"{why}. Every control plane machine must reach the etcd itself")
    save(paths, made)


async def _fetch(client: Client, token_id: str, key: str) -> dict[str, bytes]:
    try:
        secret = await client.get(SECRETS, certbundle.name_of(token_id), certbundle.NAMESPACE)
    except (Forbidden, NotFound):
        raise SettingsError(
            f"with the token {token_id} nodes can join, but no control plane: `steersman token create --control-plane` makes one "
            "for both"
        ) from None
    try:
        return certbundle.unseal(secret.get("data") or {}, key)
    except certbundle.BadKey:
        raise SettingsError(f"--certificate-key does not belong to the token {token_id}: {_NO_KEY}") from None


def install(paths: Paths, settings: ClusterSettings, files: Mapping[str, bytes]) -> ClusterSettings:
    """Write the files where `up` looks for them; the settings of this machine as one of the cluster."""
    for name in (*_PKI, *_FRONT_PROXY):
        if name in files:
            write_private(paths.pki / name, files[name])
    etcd: dict[str, Any] = {}
    for field, name in _ETCD.items():
        if name in files:
            path = paths.pki / name
            write_private(path, files[name])
            etcd[f"etcd_{field}"] = str(path)
    api = ApiOptions()
    if _ENCRYPTION in files:
        path = paths.pki / _ENCRYPTION
        write_private(path, files[_ENCRYPTION])
        api = ApiOptions(encryption_provider_config=str(path))
    shared: dict[str, Any] = json.loads(files[_SETTINGS])
    shared = {name: tuple(value) if isinstance(value, list) else value for name, value in shared.items() if name in _SHARED}
    return dataclasses.replace(settings, store="etcd", joined_as="", api=api, **shared, **etcd)
