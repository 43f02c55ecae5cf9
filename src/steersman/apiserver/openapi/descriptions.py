"""Texts for `kubectl explain`, where the optional package that has them is installed (`steersman[explain]`).

They are upstream's, read from kubernetes-validate when the first OpenAPI document is made; without it documents have no texts.
"""

from __future__ import annotations

import logging
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import orjson

_SOURCE = "kubernetes-json-schema/v1.36.0-local/_definitions.json"

log = logging.getLogger(__name__)


class Texts(NamedTuple):
    """What a definition and its fields are for."""

    whole: str
    fields: dict[str, str]


_NONE = Texts("", {})


@cache
def _all() -> dict[str, Texts]:
    found = find_spec("kubernetes_validate")
    if found is None or found.origin is None:
        return {}
    try:
        definitions: dict[str, Any] = orjson.loads((Path(found.origin).parent / _SOURCE).read_bytes())["$defs"]
    except (OSError, ValueError, KeyError):
        log.warning("no texts for explain in kubernetes-validate: source=%s", _SOURCE)
        return {}
    return {
        name: Texts(
            body.get("description", ""),
            {key: field["description"] for key, field in body.get("properties", {}).items() if field.get("description")},
        )
        for name, body in definitions.items()
    }


def texts(name: str) -> Texts:
    """The texts of a definition's full name; empty ones where there are none."""
    return _all().get(name, _NONE)
