"""Certificate signing requests: who asks is recorded, who approves and signs must be allowed to, and nobody becomes a master.

Upstream: plugin/pkg/admission/certificates; CertificateRecord is what its strategy takes from the request itself.
"""

from __future__ import annotations

from steersman.api.equality import same
from steersman.api.resources import CERTIFICATE_SIGNING_REQUESTS
from steersman.apiserver.admission.refusal import refused
from steersman.apiserver.authz import MASTERS, Authorization
from steersman.apiserver.contracts import AdmissionRequest, RequestInfo, UserInfo, Verdict
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj, format_time

CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"
_GROUP = CERTIFICATE_SIGNING_REQUESTS.group


class CertificateRecord:
    """The requester, and the times of conditions."""

    name = "CertificateRecord"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def admit(self, request: AdmissionRequest) -> None:
        obj = request.obj
        if request.resource != CERTIFICATE_SIGNING_REQUESTS or obj is None:
            return
        if request.operation == "CREATE":
            spec = {
                key: value for key, value in (obj.get("spec") or {}).items() if key not in ("username", "uid", "groups", "extra")
            }
            obj["spec"] = spec | _requester(request.user)
        elif request.subresource in ("status", "approval"):
            self._date(obj, request.old or {})

    def _date(self, obj: Obj, old: Obj) -> None:
        """lastUpdateTime is now where the client said nothing; lastTransitionTime when the condition last became what it is."""
        now = format_time(self._clock.now())
        stored = (old.get("status") or {}).get("conditions") or ()
        for item in (obj.get("status") or {}).get("conditions") or ():
            if not item.get("lastUpdateTime"):
                item["lastUpdateTime"] = now
            if item.get("lastTransitionTime"):
                continue
            state = (item.get("type"), item.get("status"))
            before: Obj = next((other for other in stored if (other.get("type"), other.get("status")) == state), {})
            item["lastTransitionTime"] = before.get("lastTransitionTime") or now


def _requester(user: UserInfo) -> Obj:
    extra = {key: list(values) for key, values in user.extra.items()}
    found: Obj = {"username": user.name, "uid": user.uid, "groups": list(user.groups), "extra": extra}
    return {key: value for key, value in found.items() if value}


class _Permission:
    """Who may do something with requests for a signer holds the verb on `signers`, by name or for its whole domain."""

    verb = what = ""

    def __init__(self, authorization: Authorization) -> None:
        self._authorization = authorization

    async def _check(self, request: AdmissionRequest) -> None:
        signer = str(((request.old or {}).get("spec") or {}).get("signerName") or "")
        for name in (signer, f"{signer.partition('/')[0]}/*"):
            info = RequestInfo(self.verb, "", True, _GROUP, "v1", "", "signers", "", name)
            if (await self._authorization.authorize(request.user, info))[0] is Verdict.ALLOW:
                return
        raise refused(request, f'user not permitted to {self.what} requests with signerName "{signer}"')


class CertificateApproval(_Permission):
    name = "CertificateApproval"
    verb = what = "approve"

    async def validate(self, request: AdmissionRequest) -> None:
        if request.resource == CERTIFICATE_SIGNING_REQUESTS and request.subresource == "approval" and request.obj is not None:
            await self._check(request)


class CertificateSigning(_Permission):
    name = "CertificateSigning"
    verb = what = "sign"

    async def validate(self, request: AdmissionRequest) -> None:
        if request.resource != CERTIFICATE_SIGNING_REQUESTS or request.subresource != "status" or request.obj is None:
            return
        new, old = request.obj.get("status") or {}, (request.old or {}).get("status") or {}
        if any(not same(new.get(key), old.get(key)) for key in ("certificate", "conditions")):
            await self._check(request)


class CertificateSubjectRestriction:
    """No client certificate makes its holder a master: such rights could never be taken away again."""

    name = "CertificateSubjectRestriction"

    async def validate(self, request: AdmissionRequest) -> None:
        if request.resource != CERTIFICATE_SIGNING_REQUESTS or request.operation != "CREATE" or request.obj is None:
            return
        spec = request.obj.get("spec") or {}
        if spec.get("signerName") != CLIENT_SIGNER:
            return
        from cryptography.x509.oid import NameOID  # needed for this kind alone, and slow to load

        from steersman.api.validation.certificates import parse_request

        try:
            subject = parse_request(spec).subject
        except ValueError as error:
            raise refused(request, f"failed to parse CSR: {error}") from None
        if any(part.value == MASTERS for part in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)):
            raise refused(request, f"use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed")
