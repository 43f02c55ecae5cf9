"""The user a client certificate stands for: CN is the name, the O values are the groups (upstream request/x509).

TLS has verified the chain; that a certificate expires while its connection lives on is checked here.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import NameOID

from steersman.apiserver.contracts import UserInfo

_UID = x509.ObjectIdentifier("1.3.6.1.4.1.57683.2")
"""The subject attribute upstream reads a uid from (gate AllowParsingUserUIDFromCertAuth)."""


def user_of(certificate: x509.Certificate) -> UserInfo | None:
    """None if the subject has no common name: then the certificate says nothing about who is calling."""
    subject = certificate.subject
    name = _first(subject, NameOID.COMMON_NAME)
    if not name:
        return None
    groups = tuple(_text(item) for item in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME))
    return UserInfo(name, _first(subject, _UID), groups)


def _first(subject: x509.Name, oid: x509.ObjectIdentifier) -> str:
    return next((_text(item) for item in subject.get_attributes_for_oid(oid)), "")


def _text(attribute: x509.NameAttribute[str | bytes]) -> str:
    value = attribute.value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
