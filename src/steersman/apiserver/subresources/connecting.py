"""What is passed on to nodes and pods: admission is asked (operation CONNECT) before anything goes there.

The object of such a request is its options, made of the query (core/v1 PodExecOptions and its kin).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steersman.apiserver.contracts import AdmissionRequest, Call
from steersman.apiserver.handlers.context import Api
from steersman.apiserver.registry import Served
from steersman.machinery.gobooleans import query_bool
from steersman.machinery.meta import Obj

_KINDS: Mapping[tuple[str, str], str] = {
    ("pods", "exec"): "PodExecOptions",
    ("pods", "attach"): "PodAttachOptions",
    ("pods", "portforward"): "PodPortForwardOptions",
    ("pods", "proxy"): "PodProxyOptions",
    ("services", "proxy"): "ServiceProxyOptions",
    ("nodes", "proxy"): "NodeProxyOptions",
}
_SWITCHES = ("stdin", "stdout", "stderr", "tty")


async def admit(api: Api, call: Call, served: Served) -> None:
    """For every request to a subresource that somebody else serves. Raises StatusError."""
    info = call.info
    kind = _KINDS.get((info.plural, info.subresource)) if not info.group else None
    if kind is None:
        return
    options = _options(call, kind)
    notes = {} if call.request.audit is None else call.request.audit.annotations
    request = AdmissionRequest(
        "CONNECT", served.resource, info.subresource, info.namespace, info.name, options, None, call.user,
        audit_annotations=notes,
    )  # fmt: skip
    await api.admission.connect(request)


def _options(call: Call, kind: str) -> Obj:
    found: dict[str, Any] = {"kind": kind, "apiVersion": "v1"}
    if kind.endswith("ProxyOptions"):
        path = "/".join(call.info.parts)
        return {**found, "path": path} if path else found
    for key, value in call.request.query_pairs if call.request.raw_query else ():
        if key == "command":
            found.setdefault("command", []).append(value)
        elif key == "container":
            found["container"] = value
        elif key == "ports" and value.isdecimal():
            found.setdefault("ports", []).append(int(value))
        elif key in _SWITCHES and query_bool(value):
            found[key] = True
    return found
