"""An operator as people write them with kopf: run by `kopf run`, it keeps a ConfigMap for each Toy, and tells what it does.

What it does shows on the objects themselves: status, annotations, Events and children, which is where the tests look.
"""

from __future__ import annotations

from typing import Any

import kopf
from kubernetes import client, config

TOYS = ("kopf.example.com", "v1", "toys")


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    config.load_kube_config()
    settings.posting.level = 20
    settings.peering.name = "toys"
    settings.peering.mandatory = True
    # It looks once a minute whether daemons and timers have ended, else.
    settings.background.cancellation_polling = 0.2
    settings.persistence.finalizer = "kopf.example.com/finalizer"


@kopf.index("configmaps", labels={"toy": kopf.PRESENT})
def children(name: str, labels: kopf.Labels, **_: Any) -> dict[str, str]:
    return {labels["toy"]: name}


@kopf.on.create(*TOYS)
def created(body: kopf.Body, name: str, namespace: str | None, spec: kopf.Spec, patch: kopf.Patch, **_: Any) -> dict[str, Any]:
    child = {"metadata": {"name": f"{name}-child", "labels": {"toy": name}}, "data": {"size": str(spec["size"])}}
    kopf.adopt(child, owner=body)
    client.CoreV1Api().create_namespaced_config_map(namespace, child)
    kopf.info(body, reason="Built", message=f"a toy of size {spec['size']}")
    patch.status["phase"] = "Built"
    return {"child": f"{name}-child"}


@kopf.on.update(*TOYS, field="spec.size")
def resized(old: Any, new: Any, patch: kopf.Patch, retry: int, **_: Any) -> None:
    if not retry:
        raise kopf.TemporaryError("once more", delay=0.2)
    patch.status["resized"] = f"{old}->{new}"


@kopf.on.resume(*TOYS)
def resumed(patch: kopf.Patch, status: kopf.Status, **_: Any) -> None:
    patch.status["resumed"] = status.get("resumed", 0) + 1


@kopf.on.delete(*TOYS)
def deleted(body: kopf.Body, **_: Any) -> None:
    kopf.info(body, reason="Broken", message="no more to play with")


@kopf.daemon(*TOYS)
async def played_with(stopped: kopf.DaemonStopped, body: kopf.Body, **_: Any) -> None:
    kopf.info(body, reason="Playing", message="the daemon runs")
    await stopped.wait(3600)
    kopf.info(body, reason="Tidied", message="the daemon ends")


@kopf.timer(*TOYS, interval=0.2, initial_delay=0)
def ticked(patch: kopf.Patch, status: kopf.Status, name: str, **indexes: Any) -> None:
    """Three times, to see time pass without an end to the writes."""
    if status.get("ticks", 0) < 3:
        patch.status["ticks"] = status.get("ticks", 0) + 1
    children: kopf.Index[str, str] = indexes["children"]
    known = [*children.get(name, ())]
    if known and status.get("known") != known:
        patch.status["known"] = known


@kopf.on.event("pods", labels={"watched-by": "toys"})
def seen(event: kopf.RawEvent, patch: kopf.Patch, **_: Any) -> None:
    if event["type"] is None or event["type"] == "ADDED":
        patch.metadata.annotations["kopf.example.com/seen"] = "yes"
