"""The cluster's CA as a signer of certificate signing requests. Which requests are signed is the controllers' decision.

The key is read when the first request is signed: most of the time there is none, and the library is large.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from steersman.controllers.certificates import Order

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

LONGEST = timedelta(days=365)


class _Authority(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class FileSigner:
    """A CA in two PEM files. Raises OSError at once if they can't be read."""

    def __init__(self, certificate: Path, key: Path, longest: timedelta = LONGEST) -> None:
        self.longest = longest
        self._certificate, self._key = certificate, key
        for path in (certificate, key):
            path.open("rb").close()

    @cached_property
    def _authority(self) -> _Authority:
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec, rsa

        key = serialization.load_pem_private_key(self._key.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ValueError(f"{self._key} is neither an EC nor an RSA key")
        return _Authority(x509.load_pem_x509_certificate(self._certificate.read_bytes()), key)

    def sign(self, order: Order) -> bytes:
        """Deterministic: the serial number is the request's, and ECDSA is RFC 6979's."""
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        ca, key = self._authority
        builder = _builder(order, ca, key)
        deterministic = True if isinstance(key, ec.EllipticCurvePrivateKey) else None
        made = builder.sign(key, hashes.SHA256(), ecdsa_deterministic=deterministic)
        return made.public_bytes(serialization.Encoding.PEM)


def _builder(order: Order, ca: x509.Certificate, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> x509.CertificateBuilder:
    """Raises ValueError for a CA that has expired."""
    from cryptography import x509

    until = min(order.not_after, ca.not_valid_after_utc)
    if until <= order.not_before:
        raise ValueError("the signer has expired: NotAfter=" + _text(ca.not_valid_after_utc))
    builder = (
        x509.CertificateBuilder()
        .subject_name(order.csr.subject)
        .issuer_name(ca.subject)
        .public_key(order.csr.public_key())
        .serial_number(_serial(order.name))
        .not_valid_before(order.not_before)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    usage, extended = key_usages(order.usages)
    if usage is not None:
        builder = builder.add_extension(usage, critical=True)
    if extended is not None:
        builder = builder.add_extension(extended, critical=False)
    names = _alternatives(order.csr)
    return builder.add_extension(x509.SubjectAlternativeName(names), critical=False) if names else builder


def _alternatives(csr: x509.CertificateSigningRequest) -> list[x509.GeneralName]:
    """The names asked for, of the four sorts that approvers and signers look at; no others."""
    from cryptography import x509

    try:
        found = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    sorts = (x509.DNSName, x509.IPAddress, x509.RFC822Name, x509.UniformResourceIdentifier)
    return [name for name in found if isinstance(name, sorts)]


def key_usages(usages: frozenset[str]) -> tuple[x509.KeyUsage | None, x509.ExtendedKeyUsage | None]:
    """The API's names of usages as the extensions of a certificate; None for one without any."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose

    def has(*names: str) -> bool:
        return any(name in usages for name in names)

    agreement = has("key agreement", "encipher only", "decipher only")
    plain = x509.KeyUsage(
        digital_signature=has("digital signature", "signing"),
        content_commitment=has("content commitment"),
        key_encipherment=has("key encipherment"),
        data_encipherment=has("data encipherment"),
        key_agreement=agreement,
        key_cert_sign=False,
        crl_sign=has("crl sign"),
        encipher_only=has("encipher only"),
        decipher_only=has("decipher only"),
    )
    purposes = {
        "any": Purpose.ANY_EXTENDED_KEY_USAGE,
        "server auth": Purpose.SERVER_AUTH,
        "client auth": Purpose.CLIENT_AUTH,
        "code signing": Purpose.CODE_SIGNING,
        "email protection": Purpose.EMAIL_PROTECTION,
        "s/mime": Purpose.EMAIL_PROTECTION,
        "ipsec end system": x509.ObjectIdentifier("1.3.6.1.5.5.7.3.5"),
        "ipsec tunnel": x509.ObjectIdentifier("1.3.6.1.5.5.7.3.6"),
        "ipsec user": x509.ObjectIdentifier("1.3.6.1.5.5.7.3.7"),
        "timestamping": Purpose.TIME_STAMPING,
        "ocsp signing": Purpose.OCSP_SIGNING,
        "microsoft sgc": x509.ObjectIdentifier("1.3.6.1.4.1.311.10.3.3"),
        "netscape sgc": x509.ObjectIdentifier("2.16.840.1.113730.4.1"),
    }
    asked = list(dict.fromkeys(purpose for name, purpose in purposes.items() if name in usages))
    some = usages - purposes.keys() - {"cert sign"}
    return plain if some else None, x509.ExtendedKeyUsage(asked) if asked else None


def _serial(name: str) -> int:
    """127 bits: positive, and within the 20 octets of RFC 5280."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "big") >> 1 or 1


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S +0000 UTC")
