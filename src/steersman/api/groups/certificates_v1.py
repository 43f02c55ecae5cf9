"""certificates.k8s.io/v1: requests for certificates, their approval and what was signed."""

from __future__ import annotations

from steersman.api import resources as r
from steersman.api.groups.common import GET_PATCH_UPDATE, selectable
from steersman.api.kinds import STATUS, KindSpec, Subresource
from steersman.api.strategies import certificates

CERTIFICATE_SIGNING_REQUESTS = KindSpec(
    resource=r.CERTIFICATE_SIGNING_REQUESTS,
    short_names=("csr",),
    schema="io.k8s.api.certificates.v1.CertificateSigningRequest",
    strategy=certificates.REQUEST,
    subresources=(Subresource("approval", GET_PATCH_UPDATE), STATUS),
    selectable=selectable("spec.signerName"),
    strict_field_message=True,
)

KINDS: tuple[KindSpec, ...] = (CERTIFICATE_SIGNING_REQUESTS,)
