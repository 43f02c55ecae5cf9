"""Namespace, ResourceQuota, LimitRange."""

from __future__ import annotations

from collections.abc import Sequence

from steersman.api.resources import RESOURCE_QUOTAS
from steersman.cli.kubectl.describe.subject import Subject, head, write_timed_conditions
from steersman.cli.kubectl.describe.writer import Writer
from steersman.machinery import quantity
from steersman.machinery.errors import NotFound
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, name_of, namespace_of
from steersman.machinery.quantity import Quantity

LIMIT_RANGES = Resource("", "v1", "limitranges", kind="LimitRange")
_SCOPES = {
    "Terminating": (
        "Matches all pods that have an active deadline. These pods have a limited lifespan on a node before being actively "
        "terminated by the system."
    ),
    "NotTerminating": (
        "Matches all pods that do not have an active deadline. These pods usually include long running pods whose container "
        "command is not expected to terminate."
    ),
    "BestEffort": (
        "Matches all pods that do not have resource requirements set. These pods have a best effort quality of service."
    ),
    "NotBestEffort": (
        "Matches all pods that have at least one resource requirement set. These pods have a burstable or guaranteed quality of "
        "service."
    ),
}
_LIMIT_TITLES = ("Type", "Resource", "Min", "Max", "Default Request", "Default Limit", "Max Limit/Request Ratio")
_LIMIT_COLUMNS = ("min", "max", "defaultRequest", "default", "maxLimitRequestRatio")


async def describe_namespace(subject: Subject, w: Writer) -> None:
    head(w, subject.obj, namespace=False)
    w.field("Status", subject.status.get("phase", ""))
    write_timed_conditions(w, subject.status.get("conditions"))
    # A server may lack either kind.
    if (quotas := await _inside(subject, RESOURCE_QUOTAS)) is not None:
        w.write("\n")
        _write_quotas(w, quotas)
    if (ranges := await _inside(subject, LIMIT_RANGES)) is not None:
        w.write("\n")
        _write_limit_ranges(w, ranges)


async def _inside(subject: Subject, resource: Resource) -> list[Obj] | None:
    try:
        return await subject.items(resource, name_of(subject.obj))
    except NotFound:
        return None


def _write_quotas(w: Writer, quotas: list[Obj]) -> None:
    if not quotas:
        w.write("No resource quota.\n")
        return
    w.write("Resource Quotas\n")
    for item in sorted(quotas, key=name_of):
        status = item.get("status") or {}
        hard, used = status.get("hard") or {}, status.get("used") or {}
        w.field("Name", name_of(item), 1)
        _write_scopes(w, item, "* ", 1)
        w.row("Resource", "Used", "Hard")
        w.row("--------", "---", "---")
        for name in sorted(hard):
            w.row(name, quantity.canonical(used.get(name, "0")), quantity.canonical(hard[name]))


def _write_scopes(w: Writer, item: Obj, mark: str, level: int) -> None:
    scopes = sorted((item.get("spec") or {}).get("scopes") or ())
    if scopes:
        w.field("Scopes", ", ".join(scopes), level)
    for scope in scopes:
        if scope in _SCOPES:
            w.write(f"{mark}{_SCOPES[scope]}\n", level)


async def describe_resource_quota(subject: Subject, w: Writer) -> None:
    w.field("Name", name_of(subject.obj))
    w.field("Namespace", namespace_of(subject.obj))
    _write_scopes(w, subject.obj, " * ", 0)
    w.row("Resource", "Used", "Hard", level=0)
    w.row("--------", "----", "----", level=0)
    hard, used = subject.status.get("hard") or {}, subject.status.get("used") or {}
    for name in sorted(hard):
        limit, amount = quantity.parse(hard[name]), quantity.parse(used.get(name, "0"))
        if amount.format != limit.format:
            amount = Quantity.of(amount.value, limit.format)
        w.row(name, amount, limit, level=0)


async def describe_limit_range(subject: Subject, w: Writer) -> None:
    w.field("Name", name_of(subject.obj))
    w.field("Namespace", namespace_of(subject.obj))
    w.heading(*_LIMIT_TITLES, level=0)
    _write_limits(w, subject.spec.get("limits") or (), "")


def _write_limit_ranges(w: Writer, ranges: list[Obj]) -> None:
    if not ranges:
        w.write("No LimitRange resource.\n")
        return
    w.write("Resource Limits\n")
    w.row(f" {_LIMIT_TITLES[0]}", *_LIMIT_TITLES[1:], level=0)
    w.row(" ----", *("-" * len(title) for title in _LIMIT_TITLES[1:]), level=0)
    for item in ranges:
        _write_limits(w, (item.get("spec") or {}).get("limits") or (), " ")


def _write_limits(w: Writer, limits: Sequence[Obj], before: str) -> None:
    for limit in limits:
        columns = [limit.get(key) or {} for key in _LIMIT_COLUMNS]
        for name in sorted({name for column in columns for name in column}):
            cells = [quantity.canonical(column[name]) if name in column else "-" for column in columns]
            w.row(f"{before}{limit.get('type', '')}", name, *cells, level=0)


DESCRIBERS = {
    "Namespace": describe_namespace,
    "ResourceQuota": describe_resource_quota,
    "LimitRange": describe_limit_range,
}
