"""Rows of scheduling.k8s.io."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from steersman.api.kinds import TableSpec
from steersman.api.printers.cells import AGE, NAME, age, col, count, name_and_age, spec, text
from steersman.machinery.meta import Obj, condition, dig, name_of


def _priority_class(obj: Obj, now: datetime) -> list[Any]:
    return [
        name_of(obj),
        count(obj.get("value")),
        bool(obj.get("globalDefault")),
        age(obj, now),
        str(obj.get("preemptionPolicy") or ""),
    ]


def _pod_group_status(obj: Obj) -> str:
    disrupted = condition(obj, "DisruptionTarget")
    if disrupted is not None and disrupted.get("status") == "True":
        return str(disrupted.get("reason") or "")
    scheduled = condition(obj, "PodGroupScheduled")
    if scheduled is None:
        return "Pending"
    return "Scheduled" if scheduled.get("status") == "True" else "Unschedulable"


def _pod_group(obj: Obj, now: datetime) -> list[Any]:
    policy = "Gang" if dig(obj, "spec", "schedulingPolicy", "gang") is not None else "Basic"
    workload = text(dig(obj, "spec", "podGroupTemplateRef", "workload", "workloadName"))
    return [name_of(obj), policy, workload, _pod_group_status(obj), age(obj, now)]


TABLES: dict[str, TableSpec] = {
    "PriorityClass": spec(
        _priority_class,
        NAME,
        col("Value", "integer"),
        col("Global-Default", "boolean"),
        AGE,
        col("PreemptionPolicy"),
    ),
    "Workload": spec(name_and_age, NAME, AGE),
    "PodGroup": spec(_pod_group, NAME, col("Policy"), col("Workload"), col("Status"), AGE),
}
