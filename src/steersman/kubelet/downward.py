"""Downward API fields: pod metadata and status as environment values and files. Pure (upstream pkg/fieldpath)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from steersman.machinery.meta import Obj, annotations_of, dig, labels_of, name_of, namespace_of, uid_of

_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]")


def _escaped(text: str) -> str:
    """As Go's %q quotes."""
    return json.dumps(text, ensure_ascii=False)


def format_map(values: Mapping[str, str]) -> str:
    return "\n".join(f"{key}={_escaped(values[key])}" for key in sorted(values))


def field_value(pod: Obj, path: str, *, host_ips: Sequence[str] = (), pod_ips: Sequence[str] = ()) -> str:
    """The value of a fieldRef. Addresses only where the caller has them (environment). Raises ValueError for unknown paths."""
    subscript = _SUBSCRIPT.fullmatch(path)
    if subscript is not None:
        table = labels_of(pod) if subscript[1] == "labels" else annotations_of(pod)
        return str(table.get(subscript[2], ""))
    if path == "metadata.labels":
        return format_map(labels_of(pod))
    if path == "metadata.annotations":
        return format_map(annotations_of(pod))
    simple = {
        "metadata.name": name_of(pod),
        "metadata.namespace": namespace_of(pod),
        "metadata.uid": uid_of(pod),
        "spec.nodeName": str(dig(pod, "spec", "nodeName", default="")),
        "spec.serviceAccountName": str(dig(pod, "spec", "serviceAccountName", default="")),
        "status.hostIP": host_ips[0] if host_ips else "",
        "status.hostIPs": ",".join(host_ips),
        "status.podIP": pod_ips[0] if pod_ips else "",
        "status.podIPs": ",".join(pod_ips),
    }
    if path not in simple:
        raise ValueError(f"unsupported fieldPath: {path}")
    return simple[path]
