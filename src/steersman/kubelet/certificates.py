"""A kubelet's certificates from the API: TLS bootstrap, and new ones before the old expire.

The client certificate is asked for with a bootstrap kubeconfig (a bootstrap token, say) and afterwards with the one before it;
the serving certificate with the client certificate, once the Node shows its addresses. Both by CertificateSigningRequests, which
the cluster approves and signs, or not. Each is one file with certificate and key, replaced atomically, named as upstream names
them. What is not here: using a new certificate, which the callbacks do; kubelets whose certificates are made for them.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import random
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from steersman.api.resources import CERTIFICATE_SIGNING_REQUESTS, NODES
from steersman.client import kubeconfig
from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.errors import NotFound, StatusError
from steersman.machinery.meta import Obj, condition, dig, name_of

log = logging.getLogger(__name__)

CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
SERVING_SIGNER = "kubernetes.io/kubelet-serving"
CLIENT_FILE = "kubelet-client-current.pem"
SERVING_FILE = "kubelet-server-current.pem"
OWN_SERVING_FILE = "kubelet.pem"
"""Of a node whose cluster makes it none."""
_USAGES = {CLIENT_SIGNER: "client auth", SERVING_SIGNER: "server auth"}
_ADDRESSES = ("InternalIP", "ExternalIP")
_POLL_S = 0.25
_POLL_LIMIT_S = 30.0
_PATIENCE_S = 900.0
"""How long one request is waited for; then another is made, since the first may be forgotten (upstream: 15 min)."""
_RETRY_S = 10.0
_RETRY_LIMIT_S = 300.0


class Refused(Exception):
    """The request was denied, or could not be signed."""


class Pair:
    """A certificate and its key, in one file. Raises OSError, ValueError if it can't be used."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        self.certificate = x509.load_pem_x509_certificate(content)
        serialization.load_pem_private_key(content, None)

    def usable(self, now: datetime) -> bool:
        return self.certificate.not_valid_before_utc <= now < self.certificate.not_valid_after_utc

    def renew_at(self, rng: random.Random) -> datetime:
        """Between 70 and 90 % of its life, so that nodes made together don't ask together."""
        begin, end = self.certificate.not_valid_before_utc, self.certificate.not_valid_after_utc
        return begin + (end - begin) * rng.uniform(0.7, 0.9)

    def names(self) -> frozenset[str]:
        """Names and addresses it is for."""
        try:
            found = self.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return frozenset()
        addresses = found.get_values_for_type(x509.IPAddress)
        return frozenset((*found.get_values_for_type(x509.DNSName), *(str(address) for address in addresses)))


def load(path: Path, now: datetime) -> Pair | None:
    """The pair of a file if it is there and its time is now."""
    try:
        pair = Pair(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("certificate not usable path=%s error=%s", path, error)
        return None
    return pair if pair.usable(now) else None


async def bootstrap(target: Path, bootstrap_config: Path, directory: Path, node: str, client: Client, clock: Clock) -> None:
    """See that there is a kubeconfig at `target` with a client certificate of this node that is valid now.

    `client` speaks with the credentials of `bootstrap_config`, whose cluster the new kubeconfig names. Waits for the server and
    for approval as long as it takes; Refused if the request is denied, StatusError if the credentials do not allow it.
    """
    path = directory / CLIENT_FILE
    while load(path, clock.now()) is None:
        try:
            await obtain(client, clock, path, CLIENT_SIGNER, node)
        except ConnectionError as error:
            log.warning("waiting for the API server error=%s", error)
            await clock.sleep(_RETRY_S)
    given = kubeconfig.read(bootstrap_config)
    connection = kubeconfig.resolve(given)
    cluster = next(item for item in given["clusters"] if item["name"] == _context(given, connection.context)["cluster"])
    user = {"name": "default-auth", "user": {"client-certificate": str(path), "client-key": str(path)}}
    context = {"cluster": cluster["name"], "user": user["name"]}
    made = kubeconfig.empty() | {
        "clusters": [cluster],
        "users": [user],
        "contexts": [{"name": "default-context", "context": context}],
        "current-context": "default-context",
    }
    if not target.exists() or kubeconfig.read(target) != made:
        kubeconfig.write(target, made)


def _context(config: Obj, name: str) -> Obj:
    return next(item["context"] for item in config["contexts"] if item["name"] == name)


async def obtain(
    client: Client, clock: Clock, path: Path, signer: str, node: str, names: Sequence[str] = (), addresses: Sequence[str] = ()
) -> Pair:
    """Ask for a certificate until there is one, and write it with its key. Raises Refused, StatusError, ConnectionError."""
    while True:
        key = ec.generate_private_key(ec.SECP256R1())
        request = _request(key, node, names, addresses)
        usages = ["digital signature", _USAGES[signer]]
        kind = CERTIFICATE_SIGNING_REQUESTS
        asked: Obj = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"generateName": "csr-"},
            "spec": {"request": b64encode(request).decode(), "signerName": signer, "usages": usages},
        }
        name = name_of(await client.create(kind, asked))
        log.info("certificate asked for signer=%s csr=%s", signer, name)
        certificate = await _answer(client, clock, name)
        if certificate is not None:
            _write(path, certificate + _key_pem(key))
            log.info("certificate received signer=%s csr=%s", signer, name)
            return Pair(path)
        log.warning("certificate not approved in time, asking again signer=%s csr=%s", signer, name)


async def _answer(client: Client, clock: Clock, name: str) -> bytes | None:
    """The certificate, None if it took too long or the request is gone. Asked at growing intervals: people may have to decide."""
    end, pause_s = clock.monotonic() + _PATIENCE_S, _POLL_S
    while clock.monotonic() < end:
        try:
            found = await client.get(CERTIFICATE_SIGNING_REQUESTS, name)
        except NotFound:
            return None
        except ConnectionError as error:
            log.warning("certificate signing request not read csr=%s error=%s", name, error)
            found = {}
        status = found.get("status") or {}
        if status.get("certificate"):
            return b64decode(status["certificate"])
        for kind in ("Denied", "Failed"):
            refused = condition(status.get("conditions"), kind)
            if refused is not None:
                raise Refused(f"certificate signing request {name} is {kind.lower()}: {refused.get('message') or kind}")
        await clock.sleep(pause_s)
        pause_s = min(pause_s * 1.5, _POLL_LIMIT_S)
    return None


def _request(key: ec.EllipticCurvePrivateKey, node: str, names: Sequence[str], addresses: Sequence[str]) -> bytes:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{node}"),
        ]
    )
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def placeholder(path: Path, node: str, now: datetime) -> None:
    """A self-signed serving certificate that nobody trusts, so that the server can listen until the real one is there."""
    _self_signed(path, f"{node}-placeholder", timedelta(days=1), now)


def ensure_self_signed(path: Path, node: str, now: datetime) -> None:
    """A serving certificate for a node whose cluster makes none: upstream's, likewise, is its own and good for a year."""
    if load(path, now) is None:
        _self_signed(path, f"{node}@{int(now.timestamp())}", timedelta(days=365), now)


def _self_signed(path: Path, name: str, life: timedelta, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(minutes=5))
    made = builder.not_valid_after(now + life).sign(key, hashes.SHA256())
    _write(path, made.public_bytes(serialization.Encoding.PEM) + _key_pem(key))


class Rotation:
    """Keeps the two certificates of a node fresh; `keep_client` and `keep_serving` run beside the kubelet until cancelled.

    Their callbacks take up the new content of the files.
    """

    def __init__(self, client: Client, clock: Clock, rng: random.Random, directory: Path, node: str) -> None:
        self._client, self._clock, self._rng, self._node = client, clock, rng, node
        self.client_file, self.serving_file = directory / CLIENT_FILE, directory / SERVING_FILE

    async def keep_client(self, changed: Callable[[], None]) -> None:
        await self._keep(CLIENT_SIGNER, self.client_file, changed)

    def prepare_serving(self) -> None:
        """So that there is something to listen with."""
        if load(self.serving_file, self._clock.now()) is None:
            placeholder(self.serving_file, self._node, self._clock.now())

    async def keep_serving(self, changed: Callable[[], None]) -> None:
        await self._keep(SERVING_SIGNER, self.serving_file, changed)

    async def _keep(self, signer: str, path: Path, changed: Callable[[], None]) -> None:
        pause_s = _RETRY_S
        while True:
            try:
                await self._due(signer, path)
                names, addresses = ([], []) if signer == CLIENT_SIGNER else await self._own()
                await obtain(self._client, self._clock, path, signer, self._node, names, addresses)
                changed()
                pause_s = _RETRY_S
            except (Refused, StatusError, ConnectionError, OSError, ValueError) as error:
                log.warning("certificate not renewed signer=%s retry_s=%.0f error=%s", signer, pause_s, error)
                await self._clock.sleep(pause_s)
                pause_s = min(pause_s * 2, _RETRY_LIMIT_S)

    async def _due(self, signer: str, path: Path) -> None:
        """Wait until a new one is wanted: at its time; for serving also when the node's addresses have changed."""
        pair = Pair(path)
        moment = pair.renew_at(self._rng)
        while True:
            left_s = (moment - self._clock.now()).total_seconds()
            if left_s <= 0:
                return
            if signer == SERVING_SIGNER:
                names, addresses = await self._own()
                if pair.names() != {*names, *addresses}:
                    return
            # In steps: the moment is one of the wall clock, which may be set meanwhile.
            await self._clock.sleep(min(left_s, _RETRY_LIMIT_S))

    async def _own(self) -> tuple[list[str], list[str]]:
        """Name and addresses, once the Node shows them."""
        while True:
            try:
                node = await self._client.get(NODES, self._node)
                addresses = [
                    item["address"] for item in dig(node, "status", "addresses", default=()) if item["type"] in _ADDRESSES
                ]
                if addresses:
                    return [self._node], sorted({str(ipaddress.ip_address(address)) for address in addresses})
            except NotFound:
                log.debug("node not registered yet node=%s", self._node)
            await self._clock.sleep(1.0)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _write(path: Path, content: bytes) -> None:
    """Atomically, for the owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
