"""Space: one test's namespace, and what most conformance tests do in it. Objects to do it with are in objects.py."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from tests.conformance.api import Api, Watching
from tests.conformance.objects import IMAGE
from tests.e2e import harness
from tests.e2e.harness import Cluster

from steersman.api.resources import CONFIG_MAPS, ENDPOINT_SLICES, NAMESPACES, PODS, SERVICE_ACCOUNTS
from steersman.client.rest import object_path, query
from steersman.machinery.errors import NotFound, from_status
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, dig, name_of

__all__ = ["IMAGE", "Space", "eventually", "new_namespace"]

_numbers = itertools.count(1)


_PATIENCE_S = 120
"""Only so that nothing hangs: what is waited for takes a moment, on most machines."""


def eventually(holds: Callable[[], Any], *, within_s: float = _PATIENCE_S, what: str = "") -> Any:
    """As the harness's."""
    return harness.eventually(holds, within_s=within_s, what=what)


@contextmanager
def new_namespace(api: Api, stem: str) -> Iterator[str]:
    """A namespace, ready for pods; at the end it is deleted without waiting."""
    name = f"{stem}-{next(_numbers)}"
    api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    # Pods are refused before the first is there, and wait for the second.
    eventually(lambda: api.get(SERVICE_ACCOUNTS, "default", name))
    eventually(lambda: api.get(CONFIG_MAPS, "kube-root-ca.crt", name))
    yield name
    try:
        api.delete(NAMESPACES, name)
    except NotFound:
        pass


class Space:
    """`name` is the namespace. All verbs are those of Api, in this namespace."""

    def __init__(self, cluster: Cluster, api: Api, name: str) -> None:
        self.cluster, self.api, self.name = cluster, api, name

    def create(self, resource: Resource, obj: Obj) -> Obj:
        return self.api.create(resource, {"apiVersion": resource.api_version, "kind": resource.kind, **obj}, self.name)

    def get(self, resource: Resource, name: str, *, subresource: str = "") -> Obj:
        return self.api.get(resource, name, self.name, subresource=subresource)

    def list(self, resource: Resource, label_selector: str = "", **options: Any) -> list[Obj]:
        items: list[Obj] = self.api.list(resource, self.name, label_selector=label_selector, **options)["items"]
        return items

    def patch(self, resource: Resource, name: str, patch: Any, *, kind: str = "merge", subresource: str = "") -> Obj:
        return self.api.patch(resource, name, patch, self.name, kind=kind, subresource=subresource)

    def update(self, resource: Resource, obj: Obj, *, subresource: str = "") -> Obj:
        return self.api.update(resource, obj, subresource=subresource)

    def delete(self, resource: Resource, name: str, **options: Any) -> Obj:
        return self.api.delete(resource, name, self.name, **options)

    def evict(self, pod: str) -> None:
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": self.name}}
        self.api.create(PODS, eviction, self.name, name=pod, subresource="eviction")

    def delete_collection(self, resource: Resource, label_selector: str = "") -> Obj:
        return self.api.delete_collection(resource, self.name, label_selector=label_selector)

    def watching(self, resource: Resource, **options: Any) -> AbstractContextManager[Watching]:
        return self.api.watching(resource, self.name, **options)

    def exists(self, resource: Resource, name: str) -> bool:
        try:
            self.get(resource, name)
        except NotFound:
            return False
        return True

    def gone(self, resource: Resource, name: str, *, within_s: float = _PATIENCE_S) -> None:
        """Wait until it is no more."""
        eventually(lambda: not self.exists(resource, name), within_s=within_s, what=f"{resource.plural} {name} is gone")

    def until(self, resource: Resource, name: str, holds: Callable[[Obj], Any], *, within_s: float = _PATIENCE_S) -> Obj:
        """The object, once something holds of it."""
        seen: Obj = {}

        def look() -> bool:
            seen.clear()
            seen.update(self.get(resource, name))
            return bool(holds(seen))

        try:
            eventually(look, within_s=within_s)
        except AssertionError as fault:
            raise AssertionError(f"{resource.plural} {name}: {fault}: {json.dumps(seen.get('status'))}") from None
        return seen

    def running(self, pod: Obj) -> Obj:
        """Create a pod; it as it is once it is ready."""
        made = self.create(PODS, pod)
        return self.until(PODS, name_of(made), is_ready)

    def finished(self, pod: Obj, *, within_s: float = _PATIENCE_S) -> Obj:
        """Create a pod; it as it is once all of its containers have ended for good."""
        made = self.create(PODS, pod)
        return self.until(
            PODS, name_of(made), lambda it: dig(it, "status", "phase") in ("Succeeded", "Failed"), within_s=within_s
        )

    def output(self, pod: Obj) -> str:
        """Create a pod that must succeed; what its only, or first, container wrote."""
        done = self.finished(pod)
        said = self.logs(name_of(done), container=done["spec"]["containers"][0]["name"])
        assert done["status"]["phase"] == "Succeeded", f"{said}{json.dumps(done['status'])}"
        return said

    def logs(self, pod: str, **options: str | int) -> str:
        answer = self.api.request("GET", object_path(PODS, self.name, pod, "log") + query(**options))
        if answer.status != 200:
            raise from_status(json.loads(answer.body), answer.status)
        return answer.body.decode()

    def exec(self, pod: str, *command: str, container: str = "", code: int | None = 0) -> str:
        chosen = ("-c", container) if container else ()
        return self.cluster.kubectl("exec", "-n", self.name, pod, *chosen, "--", *command, code=code)

    def kubectl(self, *arguments: str, stdin: str = "", code: int | None = 0) -> str:
        return self.cluster.kubectl("-n", self.name, *arguments, stdin=stdin, code=code)

    def addresses(self, service: str) -> set[str]:
        """The ready addresses of a Service's EndpointSlices, as `address:port`, `address:port/UDP`."""
        return {
            f"{address}:{port['port']}" + ("" if port["protocol"] == "TCP" else f"/{port['protocol']}")
            for part in self.list(ENDPOINT_SLICES, f"kubernetes.io/service-name={service}")
            for endpoint in part.get("endpoints") or ()
            if dig(endpoint, "conditions", "ready", default=True)
            for address in endpoint["addresses"]
            for port in part.get("ports") or ()
        }


def is_ready(pod: Obj) -> bool:
    return condition(pod, "Ready") == "True"


def condition(obj: Obj, kind: str) -> str:
    """The status of a condition; empty if it is not there."""
    for item in dig(obj, "status", "conditions", default=()) or ():
        if item["type"] == kind:
            return str(item["status"])
    return ""


def container_status(pod: Obj, name: str = "main") -> Obj:
    """Raises KeyError while there is none."""
    status = pod["status"]
    for item in [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]:
        if item["name"] == name:
            found: Obj = item
            return found
    raise KeyError(name)
