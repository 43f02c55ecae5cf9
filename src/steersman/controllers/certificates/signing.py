"""Signs approved requests for the cluster's own signers, or records why not (upstream certificates/signer).

It says for whom, for what and how long; the key is the Signer's, which cluster/ makes. Signing is a computation: the same
request at the same time gives the same certificate.
"""

from __future__ import annotations

import copy
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from steersman.api.resources import CERTIFICATE_SIGNING_REQUESTS
from steersman.controllers.certificates import requests
from steersman.loop.spec import ControllerSpec, Decision, Snapshot, Update, Watch
from steersman.machinery.meta import Key, Obj, format_time, is_condition_true, is_deleting, key_of, uid_of

if TYPE_CHECKING:
    from cryptography import x509

BACKDATE = timedelta(minutes=5)
"""For clocks that are behind; not for short-lived certificates, which would lose much of their life."""
SHORT = timedelta(hours=8)
_LEAST_S = 600


@dataclass(frozen=True, slots=True)
class Order:
    """A certificate to make. `name` is unique to the request: the serial number comes from it."""

    csr: x509.CertificateSigningRequest
    usages: frozenset[str]
    not_before: datetime
    not_after: datetime
    name: str


class Signer(Protocol):
    """Holds a CA's key."""

    longest: timedelta
    """The longest life a certificate gets; also what it gets when none is asked for."""

    def sign(self, order: Order) -> bytes:
        """The certificate in PEM. Never outlives the CA. Raises ValueError if it can't be made."""


def spec(signer: Signer) -> ControllerSpec:
    return ControllerSpec(
        name="certificatesigningrequest-signing-controller",
        watches=(Watch(CERTIFICATE_SIGNING_REQUESTS, lambda obj: (key_of(obj),)),),
        reconcile=_reconciler(signer),
    )


def _reconciler(signer: Signer) -> Callable[[Snapshot, Key, datetime], Decision]:
    def reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
        obj = snapshot.get(CERTIFICATE_SIGNING_REQUESTS, *key)
        if obj is None or is_deleting(obj) or not _wanted(obj):
            return Decision()
        changed = copy.deepcopy(obj)
        status = changed.setdefault("status", {})
        try:
            status["certificate"] = b64encode(signer.sign(_order(obj, signer.longest, now))).decode()
        except ValueError as error:
            failure = {"type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": str(error)}
            failure["lastUpdateTime"] = format_time(now)
            status.setdefault("conditions", []).append(failure)
        return Decision([Update(CERTIFICATE_SIGNING_REQUESTS, changed, "status")])

    return reconcile


def _wanted(obj: Obj) -> bool:
    """Approved, for one of our signers, and nothing came of it yet."""
    conditions = (obj.get("status") or {}).get("conditions")
    if requests.is_issued(obj) or requests.signer_of(obj) not in requests.SIGNERS:
        return False
    refused = is_condition_true(conditions, "Denied") or is_condition_true(conditions, "Failed")
    return is_condition_true(conditions, "Approved") and not refused


def _order(obj: Obj, longest: timedelta, now: datetime) -> Order:
    """Raises ValueError if the signer may not sign this."""
    request = requests.read(obj)
    wrong = requests.SIGNERS[requests.signer_of(obj)](request)
    if wrong:
        raise ValueError(wrong)
    asked = obj["spec"].get("expirationSeconds")
    life = longest if asked is None else min(longest, timedelta(seconds=max(_LEAST_S, asked)))
    moment = now.replace(microsecond=0)
    until = moment + life if life < SHORT else moment + life - BACKDATE
    return Order(request.csr, request.usages, moment - BACKDATE, until, uid_of(obj))
