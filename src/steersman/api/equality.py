"""Semantic equality: are two objects the same once what is empty counts as absent, as after Go's decoding?

Absent and null, "", [] are the same everywhere. A false, 0 or {} equals absent only where the Go field is no pointer, so that it
cannot be told apart there: those fields are listed by name.
"""

from __future__ import annotations

from typing import Any

_VALUE_FIELDS = frozenset(
    {
        "hostNetwork", "hostPID", "hostIPC", "stdin", "stdinOnce", "tty", "readOnly", "hostPort", "containerPort",
        "port", "nodePort", "initialDelaySeconds", "minReadySeconds", "paused", "unschedulable",
        "publishNotReadyAddresses", "healthCheckNodePort", "weight", "maxSkew", "partition", "lun", "seconds",
        "revision", "value", "globalDefault", "count", "templateGeneration", "limits", "requests", "nodeSelector",
        "labels", "annotations", "matchLabels", "data", "binaryData", "selector", "overhead", "resources", "metadata",
        "strategy", "updateStrategy", "capacity", "allocatable", "hard", "used", "default", "defaultRequest", "max",
        "min", "maxLimitRequestRatio", "volumeAttributes", "options", "status",
    }
)  # fmt: skip
"""Fields without pointers whose zero value is false, 0 or {}."""


def same(a: Any, b: Any) -> bool:
    """True if the two values mean the same to the API."""
    if a == b:
        return True
    if isinstance(a, dict) and isinstance(b, dict):
        return all(_same_field(key, a.get(key), b.get(key)) for key in a.keys() | b.keys())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    return not a and not b and _empty(a) and _empty(b)


def _same_field(key: str, a: Any, b: Any) -> bool:
    if a is None or b is None:
        present = b if a is None else a
        return _empty(present) or (not present and key in _VALUE_FIELDS) or (key in _VALUE_FIELDS and same(present, {}))
    return same(a, b)


def _empty(value: Any) -> bool:
    return value is None or value == "" or value == []
