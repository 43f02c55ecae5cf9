"""Defaults of flowcontrol.apiserver.k8s.io/v1."""

from __future__ import annotations

from steersman.machinery.meta import Obj

_QUEUING = {"handSize": 8, "queues": 64, "queueLengthLimit": 50}


def flow_schema(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    if not spec.get("matchingPrecedence"):
        spec["matchingPrecedence"] = 1000


def priority_level(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    exempt, limited = spec.get("exempt"), spec.get("limited")
    if exempt is not None:
        exempt.setdefault("nominalConcurrencyShares", 0)
        exempt.setdefault("lendablePercent", 0)
    if limited is not None:
        limited.setdefault("nominalConcurrencyShares", 30)
        limited.setdefault("lendablePercent", 0)
        queuing = (limited.get("limitResponse") or {}).get("queuing")
        if queuing is not None:
            for key, value in _QUEUING.items():
                if not queuing.get(key):
                    queuing[key] = value
