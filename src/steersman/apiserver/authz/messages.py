"""What a request asks of the authorizer, and the 403 in upstream's words (endpoints/handlers/responsewriters/errors.go)."""

from __future__ import annotations

from dataclasses import replace

from steersman.apiserver.contracts import RequestInfo, UserInfo
from steersman.machinery.errors import Forbidden

_INTO_A_POD = frozenset(("exec", "attach", "portforward"))
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def questions(info: RequestInfo) -> tuple[RequestInfo, ...]:
    """All that must be allowed. WebSockets enter a pod by GET, which alone would make readers of pods/exec its masters."""
    if info.subresource in _INTO_A_POD and info.verb == "get" and info.plural == "pods" and not info.group:
        return info, replace(info, verb="create")
    return (info,)


def forbidden(user: UserInfo, info: RequestInfo, reason: str = "") -> Forbidden:
    """`<R> "<n>" is forbidden: User "<u>" cannot <verb> resource ...`; `reason` as the authorizer gave it."""
    tail = f": {reason}" if reason else ""
    if not info.is_resource:
        return Forbidden(_escape(f'forbidden: User "{user.name}" cannot {info.verb} path "{info.path}"') + tail, details={})
    target = f"{info.plural}/{info.subresource}" if info.subresource else info.plural
    where = f'in the namespace "{info.namespace}"' if info.namespace else "at the cluster scope"
    text = f'User "{user.name}" cannot {info.verb} resource "{target}" in API group "{info.group}" {where}'
    return Forbidden.of(info.group, info.plural, info.name, _escape(text) + tail)


def _escape(text: str) -> str:
    return text.translate(_ESCAPES)
