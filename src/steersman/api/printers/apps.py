"""Rows of apps/v1."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from steersman.api.kinds import TableSpec
from steersman.api.printers.cells import (
    AGE,
    CONTAINERS,
    IMAGES,
    NAME,
    SELECTOR,
    age,
    col,
    containers,
    count,
    label_map,
    label_selector,
    spec,
)
from steersman.machinery.gvk import split_api_version
from steersman.machinery.meta import Obj, controller_of, dig, name_of


def _deployment(obj: Obj, now: datetime) -> list[Any]:
    wanted, status = obj.get("spec") or {}, obj.get("status") or {}
    return [
        name_of(obj),
        f"{count(status.get('readyReplicas'))}/{count(wanted.get('replicas'))}",
        count(status.get("updatedReplicas")),
        count(status.get("availableReplicas")),
        age(obj, now),
        *containers(dig(wanted, "template", "spec")),
        label_selector(wanted.get("selector"), bad="<invalid>", empty=""),
    ]


def _replica_set(obj: Obj, now: datetime) -> list[Any]:
    wanted, status = obj.get("spec") or {}, obj.get("status") or {}
    return [
        name_of(obj),
        count(wanted.get("replicas")),
        count(status.get("replicas")),
        count(status.get("readyReplicas")),
        age(obj, now),
        *containers(dig(wanted, "template", "spec")),
        label_selector(wanted.get("selector")),
    ]


def _stateful_set(obj: Obj, now: datetime) -> list[Any]:
    wanted, status = obj.get("spec") or {}, obj.get("status") or {}
    ready = f"{count(status.get('readyReplicas'))}/{count(wanted.get('replicas'))}"
    return [name_of(obj), ready, age(obj, now), *containers(dig(wanted, "template", "spec"))]


def _daemon_set(obj: Obj, now: datetime) -> list[Any]:
    wanted, status = obj.get("spec") or {}, obj.get("status") or {}
    return [
        name_of(obj),
        count(status.get("desiredNumberScheduled")),
        count(status.get("currentNumberScheduled")),
        count(status.get("numberReady")),
        count(status.get("updatedNumberScheduled")),
        count(status.get("numberAvailable")),
        label_map(dig(wanted, "template", "spec", "nodeSelector")),
        age(obj, now),
        *containers(dig(wanted, "template", "spec")),
        label_selector(wanted.get("selector")),
    ]


def _controller_revision(obj: Obj, now: datetime) -> list[Any]:
    owner = controller_of(obj)
    shown = "<none>"
    if owner is not None:
        group, _ = split_api_version(owner.get("apiVersion", ""))
        kind = str(owner.get("kind", "")).lower()
        shown = f"{kind}.{group}/{owner.get('name')}" if group else f"{kind}/{owner.get('name')}"
    return [name_of(obj), shown, count(obj.get("revision")), age(obj, now)]


TABLES: dict[str, TableSpec] = {
    "Deployment": spec(_deployment, NAME, col("Ready"), col("Up-to-date"), col("Available"), AGE, CONTAINERS, IMAGES, SELECTOR),
    "ReplicaSet": spec(
        _replica_set,
        NAME,
        col("Desired", "integer"),
        col("Current", "integer"),
        col("Ready", "integer"),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    "StatefulSet": spec(_stateful_set, NAME, col("Ready"), AGE, CONTAINERS, IMAGES),
    "DaemonSet": spec(
        _daemon_set,
        NAME,
        col("Desired", "integer"),
        col("Current", "integer"),
        col("Ready", "integer"),
        col("Up-to-date", "integer"),
        col("Available", "integer"),
        col("Node Selector"),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    "ControllerRevision": spec(_controller_revision, NAME, col("Controller"), col("Revision"), AGE),
}
