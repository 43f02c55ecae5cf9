"""Approves kubelets' certificates when who asks may have them, which a SubjectAccessReview says.

Client certificates as upstream (certificates/approver). Serving certificates upstream leaves to people; here they are approved
by a rule of our own, below, as long as nodes may `create certificatesigningrequests/selfnodeserver`: take that role away, and
people decide again. What is not approved is not denied: a person may still do either.

The rule for serving certificates: a node asks, for itself; the name is the node's own and none that the API server or a Service
could have; the addresses are those its Node object shows, and no other Node, no Service and no API server has them. (A node
writes its addresses itself, so without the last part it could take somebody else's place.)
"""

from __future__ import annotations

import copy
import ipaddress
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from steersman.api.resources import CERTIFICATE_SIGNING_REQUESTS, ENDPOINT_SLICES, NODES, SERVICES, SUBJECT_ACCESS_REVIEWS
from steersman.controllers.certificates import requests
from steersman.controllers.certificates.requests import KUBELET_CLIENT, KUBELET_SERVING, Request
from steersman.loop.spec import ControllerSpec, Create, Decision, Result, Snapshot, Update, Watch
from steersman.machinery.meta import Key, Obj, dig, format_time, is_deleting, key_of, name_of

_LOOK_AGAIN_S = 30.0
"""Rights may come later than the request, and a Node's addresses too."""
_API_NAMES = ("kubernetes", "localhost")


@dataclass(frozen=True, slots=True)
class Recognizer:
    """A sort of request, and the permission that lets it be approved."""

    applies: Callable[[Obj, Request], bool]
    subresource: str
    message: str


def _node_client(obj: Obj, request: Request) -> bool:
    return requests.signer_of(obj) == KUBELET_CLIENT and not requests.kubelet_client(request)


def _self_node_client(obj: Obj, request: Request) -> bool:
    return _node_client(obj, request) and request.username == request.common_name


def _self_node_server(obj: Obj, request: Request) -> bool:
    return (
        requests.signer_of(obj) == KUBELET_SERVING
        and not requests.kubelet_serving(request)
        and request.username == request.common_name
    )


_RECOGNIZERS = (
    Recognizer(
        _self_node_client,
        "selfnodeclient",
        "Auto approving self kubelet client certificate after SubjectAccessReview.",
    ),
    Recognizer(
        _node_client,
        "nodeclient",
        "Auto approving kubelet client certificate after SubjectAccessReview.",
    ),
    Recognizer(
        _self_node_server,
        "selfnodeserver",
        "Auto approving self kubelet serving certificate after SubjectAccessReview.",
    ),
)


def reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    obj = snapshot.get(CERTIFICATE_SIGNING_REQUESTS, *key)
    if obj is None or is_deleting(obj) or requests.is_issued(obj) or requests.is_decided(obj):
        return Decision()
    if requests.signer_of(obj) not in (KUBELET_CLIENT, KUBELET_SERVING):
        return Decision()
    try:
        request = requests.read(obj)
    except ValueError:
        return Decision()
    able = [recognizer for recognizer in _RECOGNIZERS if recognizer.applies(obj, request)]
    if not able:
        return Decision()
    if requests.signer_of(obj) == KUBELET_SERVING and not serves_itself(snapshot, request):
        return Decision(again_after_s=_LOOK_AGAIN_S)

    def judge(results: Sequence[Result]) -> Decision:
        return _verdict(obj, able, results, now)

    return Decision([Create(SUBJECT_ACCESS_REVIEWS, _review(obj, recognizer)) for recognizer in able], judge)


def _verdict(obj: Obj, able: Sequence[Recognizer], results: Sequence[Result], now: datetime) -> Decision:
    for recognizer, result in zip(able, results, strict=True):
        if result.obj is not None and dig(result.obj, "status", "allowed"):
            return Decision([Update(CERTIFICATE_SIGNING_REQUESTS, _approved(obj, recognizer.message, now), "approval")])
    return Decision(again_after_s=_LOOK_AGAIN_S)


def _review(obj: Obj, recognizer: Recognizer) -> Obj:
    spec = obj["spec"]
    asked: Obj = {
        "resourceAttributes": {
            "group": CERTIFICATE_SIGNING_REQUESTS.group,
            "version": "*",
            "resource": CERTIFICATE_SIGNING_REQUESTS.plural,
            "subresource": recognizer.subresource,
            "verb": "create",
        },
        "user": spec.get("username") or "",
    }
    asked |= {field: spec[field] for field in ("uid", "groups", "extra") if spec.get(field)}
    review = SUBJECT_ACCESS_REVIEWS
    return {"apiVersion": review.api_version, "kind": review.kind, "metadata": {}, "spec": asked}


def _approved(obj: Obj, message: str, now: datetime) -> Obj:
    changed = copy.deepcopy(obj)
    approval = {"type": "Approved", "status": "True", "reason": "AutoApproved", "message": message}
    approval["lastUpdateTime"] = format_time(now)
    changed.setdefault("status", {}).setdefault("conditions", []).append(approval)
    return changed


# --- the rule for serving certificates -----------------------------------------------------------------------------------


def serves_itself(snapshot: Snapshot, request: Request) -> bool:
    """Whether all that the certificate would be for is the node's own and nobody else's."""
    node = snapshot.get(NODES, "", request.node)
    if node is None or is_deleting(node):
        return False
    if any(name != request.node for name in request.names) or _could_be_a_service(request.node):
        return False
    taken = set(_addresses_of_others(snapshot, request.node))
    own = {_canonical(text) for text in _addresses(node)} - taken
    return {_canonical(text) for text in request.addresses} <= own


def _could_be_a_service(name: str) -> bool:
    return name in _API_NAMES or "svc" in name.split(".") or name.startswith("kubernetes.")


def _addresses(node: Obj) -> Iterator[str]:
    for item in dig(node, "status", "addresses", default=()):
        if item.get("type") in ("InternalIP", "ExternalIP"):
            yield str(item.get("address") or "")


def _addresses_of_others(snapshot: Snapshot, name: str) -> Iterator[str]:
    """The API server's own as well: on its machine the kubelet gets its certificate from who has the CA's key, not from here."""
    for node in snapshot.list(NODES):
        if name_of(node) != name:
            yield from map(_canonical, _addresses(node))
    for service in snapshot.list(SERVICES):
        spec = service.get("spec") or {}
        for text in (*(spec.get("clusterIPs") or ()), *(spec.get("externalIPs") or ())):
            yield _canonical(text)
    for piece in snapshot.list(ENDPOINT_SLICES, "default"):
        if dig(piece, "metadata", "labels", "kubernetes.io/service-name") == "kubernetes":
            for endpoint in piece.get("endpoints") or ():
                yield from map(_canonical, endpoint.get("addresses") or ())


def _canonical(text: str) -> str:
    """One text per address; loopback and what is none are nobody's."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    return "" if address.is_loopback or address.is_unspecified else str(address)


SPEC = ControllerSpec(
    name="certificatesigningrequest-approving-controller",
    watches=(
        Watch(CERTIFICATE_SIGNING_REQUESTS, lambda obj: (key_of(obj),)),
        Watch(NODES),
        Watch(SERVICES),
        Watch(ENDPOINT_SLICES),
    ),
    reconcile=reconcile,
)
