"""Bootstrap tokens: how they look as text and as Secrets, and how one signs the cluster's kubeconfig in public.

Pure; used by whoever makes, checks, cleans or believes them (kube-system Secrets; upstream cluster-bootstrap). A token is
`<id>.<secret>`: the id may be seen, the secret may not. What is not here: whether a token is accepted (apiserver/authn).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from steersman.machinery.meta import Obj, format_time, parse_time

SECRET_TYPE = "bootstrap.kubernetes.io/token"
NAMESPACE = "kube-system"
NAME_PREFIX = "bootstrap-token-"
USER_PREFIX = "system:bootstrap:"
BOOTSTRAPPERS = "system:bootstrappers"
USAGES = ("signing", "authentication")
CLUSTER_INFO = "cluster-info"
CLUSTER_INFO_NAMESPACE = "kube-public"
KUBECONFIG_KEY = "kubeconfig"
SIGNATURE_PREFIX = "jws-kubeconfig-"

_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_ID = re.compile(r"[a-z0-9]{6}")
_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class BootstrapToken:
    """What a Secret says. `expires` is None for a token that does not expire. Its repr keeps the secret out of logs."""

    id: str
    secret: str
    expires: datetime | None = None
    usages: tuple[str, ...] = USAGES
    groups: tuple[str, ...] = ()
    description: str = ""

    def __repr__(self) -> str:
        return f"BootstrapToken({self.id})"

    @property
    def text(self) -> str:
        return f"{self.id}.{self.secret}"

    def expired(self, now: datetime) -> bool:
        return self.expires is not None and self.expires <= now


def split(text: str) -> tuple[str, str] | None:
    """(id, secret) of a token's text, None if it is none."""
    found = _TOKEN.fullmatch(text)
    return (found[1], found[2]) if found else None


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def secret_name(token_id: str) -> str:
    return NAME_PREFIX + token_id


def is_group(text: str) -> bool:
    """Whether a token may carry this group: never one of other people's."""
    return _GROUP.fullmatch(text) is not None


def to_secret(token: BootstrapToken) -> Obj:
    """The Secret of a token."""
    data = {"token-id": token.id, "token-secret": token.secret, "description": token.description}
    if token.expires is not None:
        data["expiration"] = format_time(token.expires)
    data |= {f"usage-bootstrap-{usage}": "true" for usage in token.usages}
    data["auth-extra-groups"] = ",".join(token.groups)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": secret_name(token.id), "namespace": NAMESPACE},
        "type": SECRET_TYPE,
        "data": {key: b64encode(value.encode()).decode() for key, value in data.items() if value},
    }


def from_secret(secret: Obj) -> BootstrapToken | None:
    """The token of a Secret, None if the Secret is none that counts: another type, name, or form.

    An expiration that can't be read is long past. Groups a token may not carry make it none at all.
    """
    meta = secret.get("metadata") or {}
    if secret.get("type") != SECRET_TYPE or meta.get("namespace") != NAMESPACE:
        return None
    data = _decoded(secret)
    token_id, token_secret = data.get("token-id", ""), data.get("token-secret", "")
    if meta.get("name") != secret_name(token_id) or split(f"{token_id}.{token_secret}") is None:
        return None
    groups = tuple(sorted({group for group in data.get("auth-extra-groups", "").split(",") if group}))
    if not all(is_group(group) for group in groups):
        return None
    usages = tuple(usage for usage in USAGES if data.get(f"usage-bootstrap-{usage}") == "true")
    return BootstrapToken(token_id, token_secret, expiration(secret), usages, groups, data.get("description", ""))


def expiration(secret: Obj) -> datetime | None:
    """When a token's Secret expires, None for never. What can't be read counts as long past."""
    text = _decoded(secret).get("expiration")
    if not text:
        return None
    return parse_time(text) or datetime.min.replace(tzinfo=UTC)


def same_secret(one: str, other: str) -> bool:
    """In a time that tells nothing."""
    return hmac.compare_digest(one.encode(), other.encode())


def sign(content: str, token: BootstrapToken) -> str:
    """A detached JWS (RFC 7515, appendix F; HS256) by which holders of the token know that `content` is the cluster's."""
    header = _base64url(json.dumps({"alg": "HS256", "kid": token.id}, separators=(",", ":")).encode())
    signed = f"{header}.{_base64url(content.encode())}".encode()
    return f"{header}..{_base64url(hmac.new(token.secret.encode(), signed, hashlib.sha256).digest())}"


def verify(signature: str, content: str, token_id: str, token_secret: str) -> bool:
    """Whether `content` was signed with the token."""
    return same_secret(signature, sign(content, BootstrapToken(token_id, token_secret)))


def signatures(content: str, tokens: Iterable[BootstrapToken], now: datetime) -> dict[str, str]:
    """The entries of cluster-info for every token that may sign."""
    able = (token for token in tokens if "signing" in token.usages and not token.expired(now))
    return {SIGNATURE_PREFIX + token.id: sign(content, token) for token in able}


def _decoded(secret: Obj) -> dict[str, str]:
    data = secret.get("data") or {}
    return {key: b64decode(value or "").decode("utf-8", "replace") for key, value in data.items()}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
