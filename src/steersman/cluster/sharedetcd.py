"""An etcd that exists already and that API servers of several machines may share: `up --etcd-servers`.

Before anything is started it is asked over HTTP whether it is well, and whose cluster is in it: so a person reads one sentence,
and not a log. gRPC is not used for that, since its threads do not survive the fork of the parts. What talks to it afterwards is
store/etcd.py; an etcd that `up` starts itself is etcd.py.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import ssl
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from steersman.api.bootstraptokens import CLUSTER_INFO, CLUSTER_INFO_NAMESPACE, KUBECONFIG_KEY
from steersman.client.http import HttpTransport
from steersman.client.interface import Answer
from steersman.cluster.settings import ClusterSettings, SettingsError
from steersman.machinery import yamlio
from steersman.machinery.clock import Clock
from steersman.machinery.waiting import within

_PATIENCE_S = 4.0
_INFO_KEY = f"/registry/configmaps/{CLUSTER_INFO_NAMESPACE}/{CLUSTER_INFO}"


@dataclasses.dataclass(frozen=True, slots=True)
class SharedEtcd:
    """Addresses of its members, and files of upstream's --etcd-cafile, --etcd-certfile and --etcd-keyfile."""

    servers: tuple[str, ...] = ()
    cafile: str = ""
    certfile: str = ""
    keyfile: str = ""

    @classmethod
    def of(cls, settings: ClusterSettings) -> SharedEtcd:
        return cls(settings.etcd_servers, settings.etcd_cafile, settings.etcd_certfile, settings.etcd_keyfile)

    def into(self, settings: ClusterSettings) -> ClusterSettings:
        changes = {f"etcd_{field.name}": getattr(self, field.name) for field in dataclasses.fields(self)}
        return dataclasses.replace(settings, store="etcd", **changes)


def chosen(servers: str, cafile: str, certfile: str, keyfile: str) -> SharedEtcd:
    """What the flags say. Raises SettingsError."""
    urls = tuple(url.strip().rstrip("/") for url in servers.split(",") if url.strip())
    files = {"cafile": cafile, "certfile": certfile, "keyfile": keyfile}
    if not urls:
        if any(files.values()):
            raise SettingsError("--etcd-cafile, --etcd-certfile and --etcd-keyfile belong to --etcd-servers")
        return SharedEtcd()
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path:
            raise SettingsError(f"--etcd-servers: {url!r} is no etcd address: http://HOST:PORT or https://HOST:PORT is wanted")
    if bool(certfile) != bool(keyfile):
        raise SettingsError("--etcd-certfile and --etcd-keyfile go together")
    for flag, path in files.items():
        if path and not os.access(path, os.R_OK):
            raise SettingsError(f"--etcd-{flag} {path} cannot be read")
    return SharedEtcd(urls, *(os.path.abspath(path) if path else "" for path in files.values()))


async def complaint(etcd: SharedEtcd, clock: Clock) -> str:
    """Why no member can be worked with; empty if one is well."""
    found: dict[str, str] = {}

    async def ask(url: str) -> None:
        found[url] = await _health(etcd, url, clock)

    async with asyncio.TaskGroup() as group:
        for url in etcd.servers:
            group.create_task(ask(url))
    if not all(found.values()):
        return ""
    return f"no member of the etcd is well: {'; '.join(f'{url} {why}' for url, why in sorted(found.items()))}"


async def foreign_ca(etcd: SharedEtcd, own: bytes, clock: Clock) -> bool:
    """Whether a cluster is in there whose CA is another than `own`. An etcd without the JSON gateway cannot tell."""
    question = orjson.dumps({"key": b64encode(_INFO_KEY.encode()).decode()})
    for url in etcd.servers:
        answer, _ = await _ask(etcd, url, "POST", "/v3/kv/range", question, clock)
        if answer is None:
            continue
        try:
            body: Any = orjson.loads(answer.body)
            info = orjson.loads(b64decode(body["kvs"][0]["value"]))
            cluster = yamlio.load(info["data"][KUBECONFIG_KEY])["clusters"][0]["cluster"]
            return b64decode(cluster["certificate-authority-data"]).strip() != own.strip()
        except (ValueError, LookupError, TypeError):
            return False
    return False


async def _health(etcd: SharedEtcd, url: str, clock: Clock) -> str:
    """What is wrong with a member, empty if nothing is. etcd answers after a read that takes a majority."""
    answer, why = await _ask(etcd, url, "GET", "/health", b"", clock)
    if answer is None:
        return why
    if answer.status == 200 and b'"true"' in answer.body:
        return ""
    if b'"health"' in answer.body:
        return "has no majority"
    return f"is no etcd: it answers {answer.status} to /health"


async def _ask(etcd: SharedEtcd, url: str, method: str, target: str, body: bytes, clock: Clock) -> tuple[Answer | None, str]:
    """The answer, or why there is none."""
    ca, cert, key = (Path(path) if path else None for path in (etcd.cafile, etcd.certfile, etcd.keyfile))
    try:
        transport = HttpTransport(url, ca=ca, cert=cert, key=key)
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(f"the certificates for etcd cannot be used: {error}") from error
    answers: list[Answer] = []

    async def asking() -> None:
        answers.append(await transport.request(method, target, body=body))

    try:
        if not await within(clock, _PATIENCE_S, asking):
            return None, "does not answer"
    except ConnectionError as error:
        return None, _why(error, url)
    finally:
        await transport.close()
    return answers[0], ""


def _why(error: ConnectionError, url: str) -> str:
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"shows a certificate that is not trusted ({cause.verify_message})"
    if url.startswith("https:") and isinstance(cause, ssl.SSLError | ConnectionResetError):
        return "refuses the client certificate, or speaks no TLS"
    return f"can't be reached: {str(error).rpartition(': ')[2]}"


def other_cluster(settings: ClusterSettings) -> str:
    """The sentence for somebody who would have two clusters in one etcd."""
    return (
        f"the etcd at {', '.join(settings.etcd_servers)} holds the objects of another cluster: `steersman token create "
        "--control-plane` there prints the command that adds this machine to it"
    )
