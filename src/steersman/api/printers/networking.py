"""Rows of networking.k8s.io/v1."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from steersman.api.kinds import TableSpec
from steersman.api.printers.cells import AGE, NAME, age, col, label_selector, load_balancer, spec, text
from steersman.machinery.meta import Obj, annotations_of, dig, name_of

_DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
_MOST_HOSTS = 3


def _hosts(rules: list[Obj]) -> str:
    shown: list[str] = []
    more = False
    for rule in rules:
        if len(shown) == _MOST_HOSTS:
            more = True
        elif rule.get("host"):
            shown.append(rule["host"])
    if not shown:
        return "*"
    joined = ",".join(shown)
    return f"{joined} + {len(rules) - _MOST_HOSTS} more..." if more else joined


def _ingress(obj: Obj, now: datetime) -> list[Any]:
    wanted = obj.get("spec") or {}
    return [
        name_of(obj),
        text(wanted.get("ingressClassName")),
        _hosts(wanted.get("rules") or []),
        load_balancer(obj.get("status")),
        "80, 443" if wanted.get("tls") else "80",
        age(obj, now),
    ]


def _ingress_class(obj: Obj, now: datetime) -> list[Any]:
    parameters = dig(obj, "spec", "parameters")
    shown = "<none>"
    if parameters:
        group = f".{parameters['apiGroup']}" if parameters.get("apiGroup") else ""
        shown = f"{parameters.get('kind', '')}{group}/{parameters.get('name', '')}"
    default = " (default)" if annotations_of(obj).get(_DEFAULT_CLASS) == "true" else ""
    return [name_of(obj) + default, str(dig(obj, "spec", "controller", default="")), shown, age(obj, now)]


def _network_policy(obj: Obj, now: datetime) -> list[Any]:
    return [name_of(obj), label_selector(dig(obj, "spec", "podSelector")), age(obj, now)]


def _service_cidr(obj: Obj, now: datetime) -> list[Any]:
    return [name_of(obj), ",".join(dig(obj, "spec", "cidrs", default=())), age(obj, now)]


def _ip_address(obj: Obj, now: datetime) -> list[Any]:
    parent = dig(obj, "spec", "parentRef")
    shown = "<none>"
    if parent:
        qualified = ".".join(part for part in (str(parent.get("resource", "")).lower(), parent.get("group")) if part)
        shown = "/".join(part for part in (qualified, parent.get("namespace"), parent.get("name")) if part)
    # Upstream sends an age without declaring its column; clients drop it.
    return [name_of(obj), shown, age(obj, now)]


TABLES: dict[str, TableSpec] = {
    "Ingress": spec(_ingress, NAME, col("Class"), col("Hosts"), col("Address"), col("Ports"), AGE),
    "IngressClass": spec(_ingress_class, NAME, col("Controller"), col("Parameters"), AGE),
    "NetworkPolicy": spec(_network_policy, NAME, col("Pod-Selector"), AGE),
    "ServiceCIDR": spec(_service_cidr, NAME, col("CIDRs"), AGE),
    "IPAddress": spec(_ip_address, NAME, col("ParentRef")),
}
