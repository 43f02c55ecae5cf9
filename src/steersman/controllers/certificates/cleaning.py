"""Deletes certificate signing requests that nobody needs any more (upstream certificates/cleaner)."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable
from datetime import datetime, timedelta

from steersman.api.resources import CERTIFICATE_SIGNING_REQUESTS
from steersman.controllers.certificates import requests
from steersman.loop.spec import ControllerSpec, Decision, Delete, Snapshot, Watch
from steersman.machinery.meta import Key, Obj, condition, is_deleting, key_of, name_of, parse_time, uid_of

DECIDED_FOR = timedelta(hours=1)
"""How long an answer stays to be fetched: a certificate, a denial, a failure."""
PENDING_FOR = timedelta(hours=24)
"""How long one waits for people: for approval, or for a signer that is not ours."""
_EVERY_S = 3600.0


def reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    obj = snapshot.get(CERTIFICATE_SIGNING_REQUESTS, *key)
    if obj is None or is_deleting(obj) or not over(obj, now):
        return Decision()
    return Decision([Delete(CERTIFICATE_SIGNING_REQUESTS, "", name_of(obj), uid=uid_of(obj))])


def over(obj: Obj, now: datetime) -> bool:
    """Whether a request's time has passed."""
    if requests.is_issued(obj) and _expired(obj, now):
        return True
    decided = [kind for kind in ("Denied", "Failed") if _since(obj, kind, now) > DECIDED_FOR]
    if decided:
        return True
    approved = _since(obj, "Approved", now)
    if requests.is_issued(obj):
        return approved > DECIDED_FOR
    if requests.is_decided(obj):
        return approved > PENDING_FOR
    created = parse_time(obj["metadata"].get("creationTimestamp"))
    return created is not None and now - created > PENDING_FOR


def _since(obj: Obj, kind: str, now: datetime) -> timedelta:
    """How long ago that condition was last set; nothing if it does not stand."""
    found = condition((obj.get("status") or {}).get("conditions"), kind)
    moment = parse_time(found.get("lastUpdateTime")) if found else None
    return now - moment if moment else timedelta()


def _expired(obj: Obj, now: datetime) -> bool:
    from cryptography.x509 import load_pem_x509_certificate

    try:
        return load_pem_x509_certificate(b64decode(obj["status"]["certificate"])).not_valid_after_utc < now
    except ValueError:
        return False


def _all(snapshot: Snapshot) -> Iterable[Key]:
    return [key_of(obj) for obj in snapshot.list(CERTIFICATE_SIGNING_REQUESTS)]


SPEC = ControllerSpec(
    name="certificatesigningrequest-cleaner-controller",
    watches=(Watch(CERTIFICATE_SIGNING_REQUESTS),),
    reconcile=reconcile,
    workers=1,
    every_s=_EVERY_S,
    periodic=_all,
)
