"""Parts of an audit event that come from a request: who, from where, with what, about which object. Pure.

Source: upstream apiserver/pkg/audit/request.go, apimachinery/pkg/util/net (SourceIPs).
"""

from __future__ import annotations

import ipaddress
from datetime import datetime
from urllib.parse import quote

from steersman.apiserver.contracts import RequestInfo, UserInfo
from steersman.apiserver.http import Request
from steersman.machinery.meta import Obj

HEAD = b'{"kind":"Event","apiVersion":"audit.k8s.io/v1",'
"""What a line of the log begins with; items of an EventList go without."""
_USER_AGENT_LIMIT = 1024
_SAFE = "/:@!$&'()*+,;=~-._"
_REF_ORDER = ("resource", "namespace", "name", "uid", "apiGroup", "apiVersion", "resourceVersion", "subresource")


def micro_time(moment: datetime) -> str:
    """metav1.MicroTime: `2026-01-01T00:00:00.000000Z`."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def request_uri(request: Request) -> str:
    path = quote(request.path, safe=_SAFE)
    return f"{path}?{request.raw_query}" if request.raw_query else path


def user_agent(request: Request) -> str:
    found = request.headers.get("user-agent", "")
    return found if len(found) <= _USER_AGENT_LIMIT else found[:_USER_AGENT_LIMIT] + "...TRUNCATED"


def user_info(user: UserInfo | None) -> Obj:
    if user is None:
        return {}
    found: Obj = {"username": user.name, "uid": user.uid, "groups": list(user.groups)}
    found["extra"] = {key: list(values) for key, values in user.extra.items()}
    return {key: value for key, value in found.items() if value}


def source_ips(request: Request) -> list[str]:
    """What proxies say of the client, then who is at the other end of the connection."""
    found: list[str] = []
    for part in request.headers.get("x-forwarded-for", "").split(","):
        if address := _address(part):
            found.append(address)
    real = _address(request.headers.get("x-real-ip", ""))
    if real and real not in found:
        found.append(real)
    # The server's own client has no address: upstream's comes from loopback.
    remote = _address(request.remote) or "::1"
    if not found or found[-1] != remote:
        found.append(remote)
    return found


def _address(text: str) -> str:
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def object_ref(info: RequestInfo) -> Obj:
    """An ObjectReference; empty for what is no resource."""
    if not info.is_resource:
        return {}
    return ordered(
        {
            "resource": info.plural,
            "namespace": info.namespace,
            "name": info.name,
            "apiGroup": info.group,
            "apiVersion": info.version,
            "subresource": info.subresource,
        }
    )


def completed(ref: Obj, obj: Obj) -> Obj:
    """With what the URL did not say, and the object in the request does."""
    meta = obj.get("metadata")
    if not isinstance(meta, dict):
        return ref
    return ordered({key: meta.get(key) for key in ("namespace", "name", "uid", "resourceVersion")} | ref)


def ordered(ref: Obj) -> Obj:
    return {key: ref[key] for key in _REF_ORDER if ref.get(key)}


def authentication_failure(request: Request) -> str:
    """Which credentials were tried, in upstream's words."""
    scheme, _, credentials = request.headers.get("authorization", "").strip().partition(" ")
    tried = []
    if scheme.lower() in ("basic", "bearer") and credentials:
        tried.append(scheme.lower())
    if request.raw_query and request.query("access_token"):
        tried.append("access_token")
    if request.peer is not None:
        tried.append("x509")
    if not tried:
        return "Authentication failed, no credentials provided"
    return f"Authentication failed, attempted: {', '.join(tried)}"
