"""DenyServiceExternalIPs: nobody takes an address by a Service; those that are there may stay (CVE-2020-8554).

Source: upstream plugin/pkg/admission/serviceexternalips.
"""

from __future__ import annotations

from steersman.api.resources import SERVICES
from steersman.apiserver.admission.refusal import refused
from steersman.apiserver.contracts import AdmissionRequest


class DenyServiceExternalIPs:
    name = "DenyServiceExternalIPs"

    async def validate(self, request: AdmissionRequest) -> None:
        if request.resource != SERVICES or request.subresource or request.obj is None:
            return
        before = ((request.old or {}).get("spec") or {}).get("externalIPs") or ()
        if not set((request.obj.get("spec") or {}).get("externalIPs") or ()) <= set(before):
            raise refused(request, "Use of external IPs is denied by admission control")
