"""Strategies of events, as core/v1 and as events.k8s.io/v1."""

from __future__ import annotations

from collections.abc import Callable

from steersman.api.kinds import Strategy
from steersman.api.strategies.common import keep_generation
from steersman.machinery import names
from steersman.machinery.meta import Obj, dig

TTL_S = 3600
REFERENCE_FIELDS = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def source_of(obj: Obj) -> str:
    """Field `source` of selectors: the component, whichever generation of recorder wrote it."""
    return str(dig(obj, "source", "component") or obj.get("reportingComponent") or "")


EXTRA_FIELDS: dict[str, Callable[[Obj], str]] = {"source": source_of}

EVENT = Strategy(prepare_update=keep_generation, validate_name=names.path_segment, create_on_update=True, garbage_collected=False)
EVENT_V1 = Strategy(prepare_update=keep_generation, create_on_update=True, garbage_collected=False)
