"""The serviceaccount controller: a `default` ServiceAccount in every namespace that isn't on its way out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from steersman.api.resources import NAMESPACES, SERVICE_ACCOUNTS
from steersman.loop.spec import ControllerSpec, Create, Decision, Snapshot, Watch
from steersman.machinery.meta import Key, Obj, is_deleting, name_of, namespace_of

NAME = "default"


def _reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    namespace = snapshot.get(NAMESPACES, *key)
    if namespace is None or is_deleting(namespace) or snapshot.get(SERVICE_ACCOUNTS, key[1], NAME) is not None:
        return Decision()
    made = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": key[1]}}
    return Decision((Create(SERVICE_ACCOUNTS, made),))


def _of_account(account: Obj) -> Iterable[Key]:
    return (("", namespace_of(account)),) if name_of(account) == NAME else ()


SPEC = ControllerSpec(
    name="serviceaccount-controller",
    watches=(Watch(NAMESPACES, keys=lambda obj: (("", name_of(obj)),)), Watch(SERVICE_ACCOUNTS, keys=_of_account)),
    reconcile=_reconcile,
    workers=1,
)
