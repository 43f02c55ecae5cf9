"""AlwaysAdmit and AlwaysDeny: for trying out what clients do. Source: upstream plugin/pkg/admission/{admit,deny}."""

from __future__ import annotations

from steersman.apiserver.admission.refusal import refused
from steersman.apiserver.contracts import AdmissionRequest


class AlwaysAdmit:
    name = "AlwaysAdmit"

    async def admit(self, request: AdmissionRequest) -> None:
        """Nothing is changed."""

    async def validate(self, request: AdmissionRequest) -> None:
        """Nothing is refused."""


class AlwaysDeny:
    name = "AlwaysDeny"

    async def admit(self, request: AdmissionRequest) -> None:
        await self.validate(request)

    async def validate(self, request: AdmissionRequest) -> None:
        raise refused(request, "admission control is denying all modifications")
