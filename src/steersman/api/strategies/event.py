"""Strategies of events, as core/v1 and as events.k8s.io/v1."""

from __future__ import annotations

from collections.abc import Callable

from steersman.api.event_conversion import to_core
from steersman.api.kinds import Strategy
from steersman.api.strategies.common import keep_generation
from steersman.api.validation import event
from steersman.machinery import names
from steersman.machinery.fielderrors import FieldError
from steersman.machinery.meta import Obj, dig

TTL_S = 3600
REFERENCE_FIELDS = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def source_of(obj: Obj) -> str:
    """Field `source` of selectors: the component, whichever generation of recorder wrote it."""
    return str(dig(obj, "source", "component") or obj.get("reportingComponent") or "")


EXTRA_FIELDS: dict[str, Callable[[Obj], str]] = {"source": source_of}


def _validate_v1(obj: Obj) -> list[FieldError]:
    return event.validate_v1(to_core(obj))


def _validate_v1_update(new: Obj, old: Obj) -> list[FieldError]:
    return event.validate_v1_update(to_core(new), to_core(old))


EVENT = Strategy(
    prepare_update=keep_generation,
    validate_create=event.validate_core,
    validate_update=event.validate_core_update,
    validate_name=names.path_segment,
    create_on_update=True,
    garbage_collected=False,
)
EVENT_V1 = Strategy(
    prepare_update=keep_generation,
    validate_create=_validate_v1,
    validate_update=_validate_v1_update,
    create_on_update=True,
    garbage_collected=False,
)
