"""The root CA publisher: a ConfigMap in every namespace by which pods verify the API server. Source: KEP-1205."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from steersman.api.resources import CONFIG_MAPS, NAMESPACES
from steersman.loop.spec import ControllerSpec, Create, Decision, Snapshot, Update, Watch
from steersman.machinery.meta import Key, Obj, annotations_of, is_deleting, name_of, namespace_of

NAME = "kube-root-ca.crt"
_DESCRIPTION = "kubernetes.io/description"
_TEXT = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal "
    "service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."
)


def spec(ca_pem: str) -> ControllerSpec:
    """`ca_pem`: the certificates that signed the API server's."""

    def reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
        return _reconcile(snapshot, key, ca_pem)

    return ControllerSpec(
        name="root-ca-certificate-publisher-controller",
        watches=(Watch(NAMESPACES, keys=lambda obj: (("", name_of(obj)),)), Watch(CONFIG_MAPS, keys=_of_config_map)),
        reconcile=reconcile,
        workers=1,
    )


def _reconcile(snapshot: Snapshot, key: Key, ca_pem: str) -> Decision:
    namespace = snapshot.get(NAMESPACES, *key)
    if namespace is None or is_deleting(namespace):
        return Decision()
    found = snapshot.get(CONFIG_MAPS, key[1], NAME)
    data = {"ca.crt": ca_pem}
    if found is None:
        metadata = {"name": NAME, "namespace": key[1], "annotations": {_DESCRIPTION: _TEXT}}
        return Decision((Create(CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}),))
    if found.get("data") == data and _DESCRIPTION in annotations_of(found):
        return Decision()
    metadata = {**found["metadata"], "annotations": {**annotations_of(found), _DESCRIPTION: _TEXT}}
    return Decision((Update(CONFIG_MAPS, {**found, "metadata": metadata, "data": data}),))


def _of_config_map(found: Obj) -> Iterable[Key]:
    return (("", namespace_of(found)),) if name_of(found) == NAME else ()
