"""What drivers are given in confidence: the Secrets that a volume names, and tokens of the pod's service account."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime

from steersman.api.resources import SECRETS
from steersman.kubelet.volumes.base import Request
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj, format_time

_TOKENS = "csi.storage.k8s.io/serviceAccount.tokens"
_USUAL_S = 3600


async def secret_values(request: Request, ref: tuple[str, str] | None, what: str) -> dict[str, str]:
    """What is in the Secret. Raises OSError if it can't be had."""
    if ref is None:
        return {}
    namespace, name = ref
    try:
        secret = await request.objects.read(SECRETS, namespace, name)
    except StatusError as error:
        lead = f"fetching {what} {namespace}/{name} failed: kubernetes.io/csi: failed to find the secret {name}"
        raise OSError(f"{lead} in the namespace {namespace} with error: {error}") from None
    return {key: base64.b64decode(value).decode(errors="replace") for key, value in (secret.get("data") or {}).items()}


async def service_account_tokens(request: Request, asked: Sequence[Obj]) -> dict[str, str]:
    """By audience, in one attribute, as drivers read it. Raises StatusError, ConnectionError."""
    if not asked:
        return {}
    found = {}
    for each in asked:
        audience, life_s = str(each.get("audience") or ""), int(each.get("expirationSeconds") or _USUAL_S)
        token = await request.tokens.get(request.pod, [audience] if audience else [], life_s)
        found[audience] = {"token": token, "expirationTimestamp": _expires(token)}
    return {_TOKENS: json.dumps(found, separators=(",", ":"))}


def _expires(token: str) -> str:
    """As the token itself says; it is the API server's own, so its signature does not matter here."""
    try:
        claims = token.split(".")[1]
        expires = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"]
        return format_time(datetime.fromtimestamp(int(expires), UTC))
    except (IndexError, KeyError, ValueError, TypeError):
        return ""
