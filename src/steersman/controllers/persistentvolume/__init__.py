"""The persistent volume binder: brings claims and volumes together, and sees to volumes whose claims are gone.

One queue for both: a claim's key has a namespace, a volume's has none. claims.py and volumes.py decide, bind.py makes the
objects. Storage itself is made and removed by provisioners, which work through annotations (loop/volumes.py).
Source: upstream pkg/controller/volume/persistentvolume.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from steersman.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES
from steersman.controllers.persistentvolume import claims, volumes
from steersman.controllers.persistentvolume.claims import PODS_BY_CLAIM
from steersman.loop.spec import ControllerSpec, Decision, Snapshot, Watch
from steersman.loop.volumes import claim_names, class_of, is_default, names_class
from steersman.machinery.meta import Key, Obj, dig, key_of, name_of, namespace_of

_BY_CLAIM, _BY_VOLUME, _WAITING, _CLASSLESS = "volumes-by-claim", "claims-by-volume", "waiting-claims-by-class", "*"


def reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    return claims.reconcile(snapshot, key) if key[0] else volumes.reconcile(snapshot, key, now)


def _of_claim(claim: Obj, snapshot: Snapshot) -> Iterable[Key]:
    yield key_of(claim)
    if named := dig(claim, "spec", "volumeName"):
        yield "", named
    for volume in snapshot.indexed(PERSISTENT_VOLUMES, _BY_CLAIM, f"{namespace_of(claim)}/{name_of(claim)}"):
        yield key_of(volume)


def _of_volume(volume: Obj, snapshot: Snapshot) -> Iterable[Key]:
    yield key_of(volume)
    ref = dig(volume, "spec", "claimRef")
    if ref is not None:
        yield ref["namespace"], ref["name"]
    else:
        yield from map(key_of, snapshot.indexed(PERSISTENT_VOLUME_CLAIMS, _WAITING, class_of(volume)))
    yield from map(key_of, snapshot.indexed(PERSISTENT_VOLUME_CLAIMS, _BY_VOLUME, name_of(volume)))


def _of_class(storage_class: Obj, snapshot: Snapshot) -> Iterable[Key]:
    yield from map(key_of, snapshot.indexed(PERSISTENT_VOLUME_CLAIMS, _WAITING, name_of(storage_class)))
    if is_default(storage_class):
        yield from map(key_of, snapshot.indexed(PERSISTENT_VOLUME_CLAIMS, _WAITING, _CLASSLESS))


def _claim_of(volume: Obj) -> Iterable[str]:
    ref = dig(volume, "spec", "claimRef")
    return () if ref is None else (f"{ref['namespace']}/{ref['name']}",)


def _volume_of(claim: Obj) -> Iterable[str]:
    named = dig(claim, "spec", "volumeName")
    return (named,) if named else ()


def _waits_in(claim: Obj) -> Iterable[str]:
    if dig(claim, "spec", "volumeName"):
        return ()
    return (class_of(claim),) if names_class(claim) else (class_of(claim), _CLASSLESS)


def _claims_of(pod: Obj) -> Iterable[str]:
    return [f"{namespace_of(pod)}/{name}" for name in claim_names(pod)]


SPEC = ControllerSpec(
    name="persistentvolume-binder-controller",
    reports_as="persistentvolume-controller",
    watches=(
        Watch(PERSISTENT_VOLUME_CLAIMS, keys_with=_of_claim, indexes={_BY_VOLUME: _volume_of, _WAITING: _waits_in}),
        Watch(PERSISTENT_VOLUMES, keys_with=_of_volume, indexes={_BY_CLAIM: _claim_of}),
        Watch(STORAGE_CLASSES, keys_with=_of_class),
        Watch(PODS, indexes={PODS_BY_CLAIM: _claims_of}),
    ),
    reconcile=reconcile,
)
