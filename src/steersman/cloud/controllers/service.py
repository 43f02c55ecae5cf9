"""The service controller: a load balancer at the provider for each Service of type LoadBalancer.

A service carries a finalizer while it has one, so that it does not go before its load balancer. Services with a
loadBalancerClass are others' business. What was ensured is remembered: a service's own new status is no reason to ask the
provider again. Source: upstream cloud-provider/controllers/service, KEP-980 (finalizer).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from steersman.api.resources import NODES, SERVICES
from steersman.cloud.interface import LoadBalancer, ProviderError
from steersman.loop.spec import Action, Call, ControllerSpec, Decision, Emit, Patch, Result, Snapshot, Watch
from steersman.machinery.meta import (
    Key,
    Obj,
    annotations_of,
    dig,
    is_condition_true,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    uid_of,
)

FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
EXCLUDE_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"
TO_BE_DELETED = "ToBeDeletedByClusterAutoscaler"
NODE_SYNC_S = 100.0
RETRY_S = (5.0, 300.0)
_SHOWN_NODES = 20


@dataclass(frozen=True, slots=True)
class _Ensured:
    """What the provider was last told of a service."""

    service: Obj
    asked: Any
    hosts: frozenset[Any]


class _Services:
    """Holds what was ensured, and what services and nodes looked like last. Used by one worker."""

    def __init__(self, balancer: LoadBalancer, cluster_name: str) -> None:
        self._balancer, self._cluster = balancer, cluster_name
        self._ensured: dict[Key, _Ensured] = {}
        self._seen: dict[Key, Any] = {}
        self._hosts: dict[str, Any] = {}

    # --- keys ------------------------------------------------------------------------------------------------------

    def of_service(self, service: Obj, snapshot: Snapshot) -> Iterable[Key]:
        """The service, if there is something new to it: what a turn itself writes must not cut its back-off short."""
        key = key_of(service)
        current = snapshot.get(SERVICES, *key)
        seen = _seen(current) if current is not None else None
        if seen != self._seen.get(key):
            if seen is None:
                del self._seen[key]
            else:
                self._seen[key] = seen
            yield key
        if _is_ours(service) and not _is_ours(current or {}):
            # What it held is free: those that wait for an address need not wait out their back-off.
            yield from (key_of(each) for each in snapshot.list(SERVICES) if wants(each) and not _status(each).get("ingress"))

    def of_node(self, node: Obj, snapshot: Snapshot) -> Iterable[Key]:
        """All load balancers, but only if the node looks different to them: nodes report every few seconds."""
        name = name_of(node)
        current = snapshot.get(NODES, "", name)
        host = self._host(current) if current is not None and is_candidate(current) else None
        if host == self._hosts.get(name):
            return ()
        if host is None:
            del self._hosts[name]
        else:
            self._hosts[name] = host
        return tuple(self._ensured)

    def all(self, snapshot: Snapshot) -> Iterable[Key]:
        return tuple(self._ensured)

    def _host(self, node: Obj) -> Any:
        """What load balancers see of a node."""
        addresses = dig(node, "status", "addresses", default=())
        where = tuple((item.get("type"), item.get("address")) for item in addresses)
        answers = self._balancer.checks_health or is_condition_true(node, "Ready")
        return name_of(node), dig(node, "spec", "providerID"), where, answers

    # --- turns -----------------------------------------------------------------------------------------------------

    def reconcile(self, snapshot: Snapshot, key: Key, now: datetime) -> Decision:
        service, known = snapshot.get(SERVICES, *key), self._ensured.get(key)
        if known is not None and (service is None or uid_of(service) != uid_of(known.service)):
            return self._bury(key, known.service)
        if service is None or dig(service, "spec", "loadBalancerClass") is not None:
            return Decision()
        if needs_cleanup(service) or (known is not None and (is_deleting(service) or not wants(service))):
            return self._release(key, service)
        if not wants(service) or is_deleting(service):
            return Decision()
        nodes = [node for node in snapshot.list(NODES) if is_candidate(node)]
        wanted = _Ensured(service, _asked(service), frozenset(self._host(node) for node in nodes))
        if not self._balancer.checks_health:
            # If none is ready, it is more likely this side that sees nothing.
            nodes = [node for node in nodes if is_condition_true(node, "Ready")] or nodes
        if known is None or known.asked != wanted.asked:
            return self._ensure(key, wanted, nodes)
        if known.hosts != wanted.hosts:
            return self._update(key, wanted, nodes)
        return Decision()

    def _ensure(self, key: Key, wanted: _Ensured, nodes: Sequence[Obj]) -> Decision:
        service = wanted.service
        actions: list[Action] = [_normal(service, "EnsuringLoadBalancer", "Ensuring load balancer")]
        if not _is_ours(service):
            actions.append(_patch(service, {"metadata": {"finalizers": [FINALIZER]}}))

        def marked(results: Sequence[Result]) -> Decision:
            if (error := _error(results)) is not None:
                return Decision((_sync_failed(service, f"failed to add load balancer cleanup finalizer: {error}"),))
            ensure = Call("ensure load balancer", partial(self._balancer.ensure, self._cluster, service, nodes))
            return Decision((*_unavailable(service, nodes), ensure), then=ensured)

        def ensured(results: Sequence[Result]) -> Decision:
            result = results[-1]
            if result.error is not None:
                status = result.error.status if isinstance(result.error, ProviderError) else None
                failed = _sync_failed(service, f"failed to ensure load balancer: {result.error}")
                return Decision((failed, *_show(service, status)))
            told = _normal(service, "EnsuredLoadBalancer", "Ensured load balancer")
            return Decision((told, *_show(service, result.value)), then=partial(self._note, key, wanted))

        return Decision(actions, then=marked)

    def _update(self, key: Key, wanted: _Ensured, nodes: Sequence[Obj]) -> Decision:
        service = wanted.service
        update = Call("update load balancer", partial(self._balancer.update, self._cluster, service, nodes))

        def updated(results: Sequence[Result]) -> Decision:
            result = results[-1]
            if result.error is None:
                told = _normal(service, "UpdatedLoadBalancer", "Updated load balancer with new hosts")
                return Decision((told, *_show(service, result.value)), then=partial(self._note, key, wanted))
            return Decision((self._get(service),), then=partial(failed, result.error))

        def failed(why: Exception, results: Sequence[Result]) -> Decision:
            """It is only worth a word if the load balancer still exists."""
            if results[0].value is None:
                return Decision()
            names = [name_of(node) for node in nodes]
            text = (
                f"Error updating load balancer with new hosts [{' '.join(names[:_SHOWN_NODES])}] "
                f"[node names limited, total number of nodes: {len(names)}], error: {why}"
            )
            return Decision((Emit(service, "Warning", "UpdateLoadBalancerFailed", text),))

        return Decision((*_unavailable(service, nodes), update), then=updated)

    def _release(self, key: Key, service: Obj) -> Decision:
        """The service wants none any more, or goes itself and waits for this."""

        def looked(results: Sequence[Result]) -> Decision:
            if (error := _error(results)) is not None:
                return Decision((_sync_failed(service, f"failed to check if load balancer exists before cleanup: {error}"),))
            if results[0].value is None:
                return deleted(())
            return Decision((_normal(service, "DeletingLoadBalancer", "Deleting load balancer"), self._delete(service)), deleted)

        def deleted(results: Sequence[Result]) -> Decision:
            if (error := _error(results)) is not None:
                return Decision((_sync_failed(service, f"failed to delete load balancer: {error}"),))
            self._ensured.pop(key, None)
            change: Obj = {"metadata": {"$deleteFromPrimitiveList/finalizers": [FINALIZER]}}
            if _status(service).get("ingress"):
                change["status"] = {"loadBalancer": {"ingress": None}}
            told = _normal(service, "DeletedLoadBalancer", "Deleted load balancer")
            return Decision((told, _patch(service, change)))

        return Decision((self._get(service),), then=looked)

    def _bury(self, key: Key, service: Obj) -> Decision:
        """The service is gone without having waited: somebody took its finalizer away."""

        def deleted(results: Sequence[Result]) -> Decision:
            if (error := _error(results)) is not None:
                failed = Emit(service, "Warning", "DeleteLoadBalancerFailed", f"Error deleting load balancer: {error}")
                return Decision((failed,))
            self._ensured.pop(key, None)
            # One of the same name may be there by now.
            return Decision((_normal(service, "DeletedLoadBalancer", "Deleted load balancer"),), again_after_s=0)

        return Decision((_normal(service, "DeletingLoadBalancer", "Deleting load balancer"), self._delete(service)), deleted)

    def _note(self, key: Key, wanted: _Ensured, results: Sequence[Result]) -> Decision:
        """Remember, unless the status could not be written: then all is done again."""
        if _error(results) is None:
            self._ensured[key] = wanted
        return Decision()

    def _get(self, service: Obj) -> Call:
        return Call("get load balancer", partial(self._balancer.get, self._cluster, service))

    def _delete(self, service: Obj) -> Call:
        return Call("delete load balancer", partial(self._balancer.ensure_deleted, self._cluster, service))


def wants(service: Obj) -> bool:
    spec = service.get("spec") or {}
    return spec.get("type") == "LoadBalancer" and spec.get("loadBalancerClass") is None


def needs_cleanup(service: Obj) -> bool:
    return _is_ours(service) and (is_deleting(service) or dig(service, "spec", "type") != "LoadBalancer")


def is_candidate(node: Obj) -> bool:
    """Whether load balancers may send traffic to the node. Readiness is no matter of this: most check health themselves."""
    excluded = labels_of(node).get(EXCLUDE_LABEL, "false") != "false"
    doomed = any(taint.get("key") == TO_BE_DELETED for taint in dig(node, "spec", "taints", default=()))
    return not (is_deleting(node) or excluded or doomed)


def _seen(service: Obj) -> Any:
    """What makes a service worth a turn when it changes; None if it is not our business."""
    cleanup = needs_cleanup(service)
    return (cleanup, _asked(service)) if cleanup or wants(service) else None


def _asked(service: Obj) -> Any:
    """What of a service concerns its load balancer."""
    spec = {field: value for field, value in service["spec"].items() if field != "selector"}
    return uid_of(service), spec, annotations_of(service)


def _is_ours(service: Obj) -> bool:
    return FINALIZER in dig(service, "metadata", "finalizers", default=())


def _status(service: Obj) -> Obj:
    found: Obj = dig(service, "status", "loadBalancer", default={})
    return found


def _show(service: Obj, status: Obj | None) -> list[Action]:
    if status is None or status == _status(service):
        return []
    return [_patch(service, {"status": {"loadBalancer": {"ingress": status.get("ingress")}}})]


def _patch(service: Obj, change: Obj) -> Patch:
    """By way of the status, which is all that the controller's role may write; metadata can be changed there as well."""
    change = {**change, "metadata": {"uid": uid_of(service), **change.get("metadata", {})}}
    return Patch(SERVICES, *key_of(service), change, "strategic", "status")


def _error(results: Sequence[Result]) -> Exception | None:
    return next((result.error for result in results if result.error is not None), None)


def _unavailable(service: Obj, nodes: Sequence[Obj]) -> list[Action]:
    if nodes:
        return []
    return [Emit(service, "Warning", "UnAvailableLoadBalancer", "There are no available nodes for LoadBalancer")]


def _normal(service: Obj, reason: str, message: str) -> Emit:
    return Emit(service, "Normal", reason, message)


def _sync_failed(service: Obj, why: str) -> Emit:
    return Emit(service, "Warning", "SyncLoadBalancerFailed", f"Error syncing load balancer: {why}")


def spec(balancer: LoadBalancer, cluster_name: str) -> ControllerSpec:
    memory = _Services(balancer, cluster_name)
    return ControllerSpec(
        name="service-controller",
        watches=(Watch(SERVICES, keys_with=memory.of_service), Watch(NODES, keys_with=memory.of_node)),
        reconcile=memory.reconcile,
        workers=1,
        every_s=NODE_SYNC_S,
        periodic=memory.all,
        retry_s=RETRY_S,
    )
