"""Certificate signing requests for tests."""

from __future__ import annotations

import ipaddress
from base64 import b64encode
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from steersman.api.resources import CERTIFICATE_SIGNING_REQUESTS as KIND
from steersman.machinery.meta import Obj

KEY = ec.generate_private_key(ec.SECP256R1())


def pem(name: str, organizations: Sequence[str] = (), names: Sequence[str] = (), addresses: Sequence[str] = ()) -> bytes:
    """A PKCS#10 request of KEY."""
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, text) for text in organizations]
    subject.append(x509.NameAttribute(NameOID.COMMON_NAME, name))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    alternatives: list[x509.GeneralName] = [x509.DNSName(text) for text in names]
    alternatives += [x509.IPAddress(ipaddress.ip_address(text)) for text in addresses]
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def csr(
    signer: str,
    request: bytes,
    *,
    name: str = "csr-1",
    purpose: str = "client auth",
    usages: Sequence[str] | None = None,
    seconds: int | None = None,
    **spec: object,
) -> Obj:
    """The object; `spec` is what the server adds (username, groups)."""
    wanted: Obj = {"request": b64encode(request).decode(), "signerName": signer}
    wanted["usages"] = list(usages) if usages is not None else ["digital signature", "key encipherment", purpose]
    if seconds is not None:
        wanted["expirationSeconds"] = seconds
    return {"apiVersion": KIND.api_version, "kind": KIND.kind, "metadata": {"name": name}, "spec": wanted | spec}
