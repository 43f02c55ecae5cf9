"""Pods as a seed draws them: several containers, init containers and sidecars, volumes, a host port; how they are to end.

Each container writes a line into the ledger whenever it begins.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from tests.conformance.objects import IMAGE
from tests.robustness.node.surroundings import MARK

from steersman.machinery.meta import Obj

_BEGIN = "echo $HOSTNAME >> /ledger/$WHO; "
_LASTING = _BEGIN + "trap 'exit 0' TERM; while true; do sleep 3600 & wait $!; done"
_DEAF = _BEGIN + "trap '' TERM; while true; do sleep 3600 & wait $!; done"
_SHORT = _BEGIN + "sleep 0.1"
_VOLUMES: tuple[Obj, ...] = (
    {"emptyDir": {}},
    {"emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
    {"configMap": {"name": "kube-root-ca.crt"}},
    {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
)
_FIRST_HOST_PORT = 20000


def pod(rng: random.Random, name: str, state: Path, number: int) -> Obj:
    """One pod. `number`: which of its round, for what pods cannot share."""
    volumes = [{"name": f"v{index}", **rng.choice(_VOLUMES)} for index in range(rng.randrange(3))]
    empty = [each["name"] for each in volumes if "emptyDir" in each]
    mounts: list[Obj] = [{"name": each["name"], "mountPath": f"/{each['name']}"} for each in volumes]
    if empty:
        mounts.append({"name": empty[0], "mountPath": "/part", "subPath": "a/part"})
    mounts.append({"name": "ledger", "mountPath": "/ledger"})
    forever = rng.random() < 0.8

    def container(what: str, script: str, **more: Any) -> Obj:
        return {
            "name": what,
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", script],
            "env": [{"name": "WHO", "value": f"{name}.{what}"}, {"name": MARK, "value": str(state)}],
            "volumeMounts": mounts,
            **more,
        }

    script = _SHORT if not forever else _DEAF if rng.random() < 0.15 else _LASTING
    containers = [container(f"c{index}", script) for index in range(rng.choice((1, 1, 2, 3)))]
    if rng.random() < 0.2:
        containers[0]["ports"] = [{"containerPort": 8080, "hostPort": _FIRST_HOST_PORT + number}]
    if rng.random() < 0.3:
        containers[0]["resources"] = {"limits": {"cpu": "200m", "memory": "32Mi"}}
    init = [container(f"i{index}", _SHORT) for index in range(rng.choice((0, 0, 1, 2)))]
    if rng.random() < 0.2:
        init.append(container("s0", _LASTING, restartPolicy="Always"))
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"drawn": "yes"}},
        "spec": {
            "restartPolicy": rng.choice(("Always", "Always", "OnFailure", "Never")) if forever else "OnFailure",
            "terminationGracePeriodSeconds": rng.choice((0, 1, 30)) if script is not _DEAF else 1,
            "shareProcessNamespace": rng.random() < 0.15,
            "hostNetwork": "ports" not in containers[0] and rng.random() < 0.1,
            "initContainers": init,
            "containers": containers,
            "volumes": [*volumes, {"name": "ledger", "hostPath": {"path": str(state / "ledger"), "type": "Directory"}}],
        },
    }
