"""The objects that conformance tests create, with what is the same in most of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steersman.machinery.meta import Obj

IMAGE = "steersman.example/hello:1"
"""busybox. Its entrypoint answers HTTP on port 8080 with `Hello from <host name>, version 1`."""

SLEEP = "trap 'exit 0' TERM; while true; do sleep 3600 & wait $!; done"
"""Runs until it is asked to end, and then ends at once."""


def container(script: str = "", *, name: str = "main", **fields: Any) -> Obj:
    """Without a script: the image's own entrypoint."""
    command = {"command": ["sh", "-c", script]} if script else {}
    return {"name": name, "image": IMAGE, "imagePullPolicy": "IfNotPresent", **command, **fields}


def pod(
    script: str = "", *, name: str = "pod", labels: Mapping[str, str] | None = None, spec: Obj | None = None, **fields: Any
) -> Obj:
    """A pod of one container, that is not restarted and dies at once. `fields` are the container's, `spec` the pod's others."""
    return {
        "metadata": {"name": name, "labels": dict(labels or {})},
        "spec": pod_spec(script, spec=spec, **fields),
    }


def pod_spec(script: str = "", *, spec: Obj | None = None, **fields: Any) -> Obj:
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "containers": [container(script, **fields)],
        **(spec or {}),
    }


def template(labels: Mapping[str, str], script: str = SLEEP, **fields: Any) -> Obj:
    """A pod template for a controller."""
    return {"metadata": {"labels": dict(labels)}, "spec": pod_spec(script, spec={"restartPolicy": "Always"}, **fields)}


def controller(name: str, replicas: int = 1, script: str = SLEEP, *, spec: Obj | None = None, **fields: Any) -> Obj:
    """A Deployment or ReplicaSet whose pods are labelled `app: <name>`."""
    labels = {"app": name}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": template(labels, script, **fields),
            **(spec or {}),
        },
    }


def replication_controller(name: str, replicas: int = 1, script: str = SLEEP, **fields: Any) -> Obj:
    """A ReplicationController whose pods are labelled `app: <name>`."""
    labels = {"app": name}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"replicas": replicas, "selector": labels, "template": template(labels, script, **fields)},
    }


def service(name: str, *, selector: Mapping[str, str] | None = None, ports: list[Obj] | None = None, **spec: Any) -> Obj:
    """A Service to the pods of the controller of the same name; `ports` by default 80 to their 8080."""
    chosen = {"app": name} if selector is None else dict(selector)
    found: Obj = {"ports": ports or [{"name": "http", "port": 80, "targetPort": 8080}], **spec}
    if chosen:
        found["selector"] = chosen
    return {"metadata": {"name": name, "labels": {"app": name}}, "spec": found}


def named(name: str, labels: Mapping[str, str] | None = None, **rest: Any) -> Obj:
    """Any object that is little more than its name."""
    return {"metadata": {"name": name, "labels": dict(labels or {})}, **rest}


def volume_pod(script: str, volume: Obj, *, mount: Obj | None = None, name: str = "pod", spec: Obj | None = None) -> Obj:
    """A pod with one volume at /v."""
    mounts = [{"name": "v", "mountPath": "/v", **(mount or {})}]
    return pod(script, name=name, spec={**(spec or {}), "volumes": [{"name": "v", **volume}]}, volumeMounts=mounts)
