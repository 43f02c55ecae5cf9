"""Certificates and keys for tests: made once per run, on the P-256 curve."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from steersman.machinery.clock import RealClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)
_KEY = ec.generate_private_key(ec.SECP256R1())


def client_certificate(name: str, *groups: str, uid: str = "", days: int = 1) -> x509.Certificate:
    """A self-signed certificate, valid around NOW (VirtualClock's start): who signed it is TLS's matter."""
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    if name:
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, name))
    if uid:
        attributes.append(x509.NameAttribute(x509.ObjectIdentifier("1.3.6.1.4.1.57683.2"), uid))
    subject = x509.Name(attributes)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(_KEY.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(NOW - timedelta(days=1))
    return builder.not_valid_after(NOW + timedelta(days=days)).sign(_KEY, hashes.SHA256())


def key_pem(kind: str = "P-256") -> bytes:
    """A private key: P-256, P-384 or RSA."""
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    if kind == "RSA":
        key = rsa.generate_private_key(65537, 2048)
    else:
        key = ec.generate_private_key(ec.SECP384R1() if kind == "P-384" else ec.SECP256R1())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def authority(path: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A CA of now, its certificate written to a file."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test-ca")])
    now = RealClock().now()
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(_KEY.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
    builder = builder.not_valid_after(now + timedelta(days=1)).add_extension(x509.BasicConstraints(True, None), critical=True)
    made = builder.sign(_KEY, hashes.SHA256())
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return made, _KEY


def signed(stem: Path, name: str, ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey, *hosts: str) -> tuple[Path, Path]:
    """Certificate and key files for both sides of a connection to 127.0.0.1, or to one of `hosts`."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = RealClock().now()
    builder = x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
    builder = builder.issuer_name(ca.subject).public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1")), *map(x509.DNSName, hosts)])
    made = builder.add_extension(address, critical=False).sign(ca_key, hashes.SHA256())
    cert_file, key_file = stem.with_suffix(".crt"), stem.with_suffix(".key")
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form, bare = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, bare))
    return cert_file, key_file
