"""The endpoints controller: core/v1 Endpoints for services with a selector, for clients that don't read slices.

Source: upstream pkg/controller/endpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice

from steersman.api.resources import ENDPOINTS, PODS, SERVICES
from steersman.loop import backends
from steersman.loop.failures import namespace_terminates
from steersman.loop.pods import is_ready, node_of
from steersman.loop.spec import Action, ControllerSpec, Create, Decision, Delete, Emit, Result, Snapshot, Update, Watch
from steersman.machinery.errors import Conflict
from steersman.machinery.meta import Key, Obj, annotations_of, dig, is_deleting, key_of, labels_of, name_of, namespace_of, uid_of

CAPACITY = 1000
MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"


def _reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    service = snapshot.get(SERVICES, *key)
    current = snapshot.get(ENDPOINTS, *key)
    if service is None:
        # Only a service's deletion brings its key here: Endpoints that never had a service aren't asked about.
        return Decision((Delete(ENDPOINTS, *key, uid=uid_of(current)),)) if current is not None else Decision()
    if is_deleting(service) or not backends.selector_of(service):
        return Decision()
    publish = bool(dig(service, "spec", "publishNotReadyAddresses"))
    pods = backends.pods_of(snapshot, service, with_terminating=publish)
    subsets = _subsets(service, pods, publish)
    cut = truncate(subsets)
    wanted = _wanted(service, current, subsets, truncated=cut)
    if current is not None and all(_same(current, wanted)):
        return Decision()
    moment = backends.trigger_time(service, pods)
    if moment:
        wanted["metadata"].setdefault("annotations", {})[backends.TRIGGER_TIME] = moment
    action: Action = Create(ENDPOINTS, wanted) if current is None else Update(ENDPOINTS, wanted)
    return Decision((action,), then=lambda results: _after(service, current is None, results))


def _after(service: Obj, creating: bool, results: Sequence[Result]) -> Decision:
    error = results[-1].error
    if error is None or isinstance(error, Conflict) or namespace_terminates(error):
        return Decision()
    verb, reason = ("create", "FailedToCreateEndpoint") if creating else ("update", "FailedToUpdateEndpoint")
    name = f"{namespace_of(service)}/{name_of(service)}"
    return Decision((Emit(service, "Warning", reason, f"Failed to {verb} endpoint for service {name}: {error}"),))


def _same(current: Obj, wanted: Obj) -> Iterable[bool]:
    yield (current.get("subsets") or []) == (wanted.get("subsets") or [])
    yield labels_of(current) == labels_of(wanted)
    yield annotations_of(current).get(OVER_CAPACITY) == annotations_of(wanted).get(OVER_CAPACITY)


def _wanted(service: Obj, current: Obj | None, subsets: list[Obj], *, truncated: bool) -> Obj:
    labels = {**labels_of(service), MANAGED_BY: MANAGER}
    labels.pop(backends.HEADLESS, None)
    if backends.is_headless(service):
        labels[backends.HEADLESS] = ""
    base: Obj = current or {"apiVersion": "v1", "kind": "Endpoints", "metadata": {}}
    metadata = {**base["metadata"], "name": name_of(service), "namespace": namespace_of(service), "labels": labels}
    annotations = {**annotations_of(base)}
    annotations.pop(OVER_CAPACITY, None)
    if truncated:
        annotations[OVER_CAPACITY] = "truncated"
    metadata["annotations"] = annotations
    if not annotations:
        del metadata["annotations"]
    made = {**base, "metadata": metadata, "subsets": subsets}
    if not subsets:
        del made["subsets"]
    return made


def _subsets(service: Obj, pods: Sequence[Obj], publish: bool) -> list[Obj]:
    """Addresses grouped by their ports; within a subset in the order of addresses, so that equal content is equal."""
    kind = backends.address_types(service)[0]
    portless = not dig(service, "spec", "ports", default=())
    grouped: dict[str, Obj] = {}
    for pod in pods:
        addresses = [item for item in backends.addresses_of(pod) if backends.address_type(item) == kind]
        ports = backends.ports_of(pod, service)
        if not addresses or not (ports or portless):
            continue
        subset = grouped.setdefault(repr(ports), {"addresses": [], "notReadyAddresses": [], "ports": ports})
        field = "addresses" if publish or is_ready(pod) else "notReadyAddresses"
        subset[field].append(_address(service, pod, addresses[0]))
    for subset in grouped.values():
        for field in ("addresses", "notReadyAddresses"):
            subset[field].sort(key=lambda item: (item["ip"], item["targetRef"]["uid"]))
    return [{field: value for field, value in grouped[name].items() if value} for name in sorted(grouped)]


def _address(service: Obj, pod: Obj, ip: str) -> Obj:
    made: Obj = {"ip": ip, "targetRef": backends.target_ref(pod)}
    if node_of(pod):
        made["nodeName"] = node_of(pod)
    hostname = backends.hostname_of(pod, service)
    if hostname:
        made["hostname"] = hostname
    return made


def truncate(subsets: list[Obj], capacity: int = CAPACITY) -> bool:
    """Cut to the capacity in place, ready addresses first, each subset in proportion. True if anything was cut."""
    cut = False
    for field in ("addresses", "notReadyAddresses"):
        total = sum(len(subset.get(field) or ()) for subset in subsets)
        allowed = min(capacity, total)
        capacity -= allowed
        if allowed < total:
            cut = True
            _share_out(subsets, field, allowed, total)
    if cut:
        subsets[:] = [subset for subset in subsets if subset.get("addresses") or subset.get("notReadyAddresses")]
    return cut


def _share_out(subsets: Sequence[Obj], field: str, allowed: int, total: int) -> None:
    shares = [len(subset.get(field) or ()) * allowed // total for subset in subsets]
    short = (index for index, subset in enumerate(subsets) if shares[index] < len(subset.get(field) or ()))
    for index in islice(short, allowed - sum(shares)):
        shares[index] += 1
    for subset, share in zip(subsets, shares):
        kept = (subset.get(field) or [])[:share]
        subset.pop(field, None)
        if kept:
            subset[field] = kept


def _of_service(obj: Obj, snapshot: Snapshot) -> Iterable[Key]:
    """Endpoints changed or deleted by somebody else come back to their service, if they have one."""
    return (key_of(obj),) if snapshot.get(SERVICES, *key_of(obj)) is not None else ()


SPEC = ControllerSpec(
    name="endpoints-controller",
    reports_as="endpoint-controller",
    watches=(
        Watch(SERVICES, keys=lambda obj: (key_of(obj),)),
        Watch(PODS, keys_with=backends.services_of),
        Watch(ENDPOINTS, keys_with=_of_service),
    ),
    reconcile=_reconcile,
    max_retries=15,
)
