"""How a machine that joins gets to know the cluster it was told of, and that it is that one: kubeadm's token discovery.

1. kube-public/cluster-info is read by nobody in particular, over a connection that nothing is known of yet.
2. Its signature (JWS) was made with the token; the CA in it has the public key that the pin names.
3. With that CA the same is read again; from here on the connection is trusted.
The token itself is only sent after that. Every way to fail is a DiscoveryError in one sentence.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from steersman.api import bootstraptokens
from steersman.api.bootstraptokens import CLUSTER_INFO, CLUSTER_INFO_NAMESPACE, KUBECONFIG_KEY, SIGNATURE_PREFIX
from steersman.client import kubeconfig
from steersman.client.http import HttpTransport
from steersman.client.interface import Answer
from steersman.cluster import clockwatch, pki
from steersman.machinery import yamlio
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj

_TARGET = f"/api/v1/namespaces/{CLUSTER_INFO_NAMESPACE}/configmaps/{CLUSTER_INFO}"
_SIGNED_WITHIN_S, _POLL_S = 3.0, 0.1
"""A token made a moment ago is signed with a moment later."""


class DiscoveryError(Exception):
    """One sentence for the person at the terminal."""


@dataclass(frozen=True, slots=True)
class Found:
    """The API server as the cluster itself names it, and its CA."""

    server: str
    ca: bytes


async def discover(server: str, token: str, pins: Sequence[str], clock: Clock) -> Found:
    """`server`: host:port; `pins`: one of them must be the CA's. Raises DiscoveryError."""
    parts = bootstraptokens.split(token)
    if parts is None:
        raise DiscoveryError('--token must be of the form "abcdef.0123456789abcdef" (a-z, 0-9)')
    for pin in pins:
        if not pki.is_pin(pin):
            raise DiscoveryError(f"--discovery-token-ca-cert-hash {pin} must be of the form sha256:<64 hexadecimal digits>")
    stranger = HttpTransport(f"https://{server}", insecure=True)
    try:
        info = await _signed(stranger, server, parts, clock)
    finally:
        await stranger.close()
    found = _described(info, server)
    if pki.pin(found.ca) not in pins:
        raise DiscoveryError(
            f"the CA of the cluster at {server} is not the one that was pinned: it has {pki.pin(found.ca)}. Either the hash is "
            "another cluster's, or somebody stands between"
        )
    trusted = HttpTransport(f"https://{server}", ca=found.ca)
    try:
        again = _config_map(await _get(trusted, server, clock), server)
    finally:
        await trusted.close()
    if again[KUBECONFIG_KEY] != info[KUBECONFIG_KEY]:
        raise DiscoveryError(f"the API server at {server} described another cluster when asked again: try again")
    return found


async def _signed(transport: HttpTransport, server: str, token: tuple[str, str], clock: Clock) -> dict[str, str]:
    """cluster-info's data, once it is signed with the token."""
    token_id, secret = token
    deadline = clock.monotonic() + _SIGNED_WITHIN_S
    while True:
        data = _config_map(await _get(transport, server, clock), server)
        signature = data.get(SIGNATURE_PREFIX + token_id)
        if signature is not None:
            break
        if clock.monotonic() > deadline:
            raise DiscoveryError(
                f"the cluster at {server} knows no valid token {token_id}: it is another cluster's, has expired or was deleted; "
                "`steersman token create` there makes a new one"
            )
        await clock.sleep(_POLL_S)
    if not bootstraptokens.verify(signature, data[KUBECONFIG_KEY], token_id, secret):
        raise DiscoveryError(f"the second half of the token {token_id} is wrong, or the machine at {server} is an impostor")
    return data


async def _get(transport: HttpTransport, server: str, clock: Clock) -> Answer:
    try:
        answer = await transport.request("GET", _TARGET)
    except ConnectionError as error:
        raise DiscoveryError(_unreachable(error, server)) from error
    _check_clock(answer, server, clock.now())
    return answer


def _unreachable(error: ConnectionError, server: str) -> str:
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        if "mismatch" in (cause.verify_message or ""):
            return f"the API server's certificate is not for {server.rpartition(':')[0]}: use an address that its `up` was given"
        return f"the API server at {server} shows a certificate that its own CA does not vouch for: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError):
        return f"what listens at {server} does not speak TLS, so it is no API server"
    return str(error)


def _check_clock(answer: Answer, server: str, now: datetime) -> None:
    """Certificates and tokens hold for a time: with a clock far off, the cluster's look expired or not yet valid."""
    found = clockwatch.complaint(answer.headers, now)
    if found:
        raise DiscoveryError(f"{found}: set it, then join {server}")


def _config_map(answer: Answer, server: str) -> dict[str, str]:
    try:
        body: Any = orjson.loads(answer.body)
        data = body.get("data") if answer.status == 200 else None
    except (ValueError, AttributeError):
        data = None
    if not isinstance(data, dict) or KUBECONFIG_KEY not in data:
        raise DiscoveryError(
            f"what listens at {server} does not publish {CLUSTER_INFO_NAMESPACE}/{CLUSTER_INFO}, so nobody can join it"
        )
    return data


def _described(data: dict[str, str], server: str) -> Found:
    try:
        config: Obj = yamlio.load(data[KUBECONFIG_KEY])
        cluster = config["clusters"][0]
        made = kubeconfig.resolve(
            {**config, "contexts": [{"name": "c", "context": {"cluster": cluster["name"]}}], "current-context": "c"}
        )
    except (ValueError, LookupError, TypeError) as error:
        raise DiscoveryError(f"{CLUSTER_INFO_NAMESPACE}/{CLUSTER_INFO} at {server} holds no kubeconfig: {error}") from error
    if not isinstance(made.ca, bytes):
        raise DiscoveryError(f"{CLUSTER_INFO_NAMESPACE}/{CLUSTER_INFO} at {server} names no CA")
    return Found(made.server, made.ca)
