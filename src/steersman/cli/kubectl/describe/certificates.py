"""CertificateSigningRequest: what is asked for is read from the request itself."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import TYPE_CHECKING

from steersman.cli.kubectl.describe.golang import rfc1123
from steersman.cli.kubectl.describe.subject import Subject, pairs
from steersman.cli.kubectl.describe.writer import Writer
from steersman.cli.kubectl.errors import KubectlError
from steersman.machinery.duration import human
from steersman.machinery.meta import annotations_of, labels_of, metadata, name_of

if TYPE_CHECKING:
    from cryptography import x509


async def describe_certificate_signing_request(subject: Subject, w: Writer) -> None:
    # Heavy, and needed for no other kind.
    from cryptography import x509

    spec = subject.spec
    try:
        request = x509.load_pem_x509_csr(base64.b64decode(spec.get("request") or ""))
    except ValueError as error:
        raise KubectlError(f"Error parsing CSR: {error}") from None
    w.field("Name", name_of(subject.obj))
    w.field("Labels", pairs(labels_of(subject.obj)))
    w.field("Annotations", pairs(annotations_of(subject.obj)))
    w.field("CreationTimestamp", rfc1123(metadata(subject.obj).get("creationTimestamp")))
    w.field("Requesting User", spec.get("username", ""))
    if spec.get("signerName"):
        w.field("Signer", spec["signerName"])
    if spec.get("expirationSeconds") is not None:
        w.field("Requested Duration", human(spec["expirationSeconds"]))
    w.field("Status", _status(subject))
    _write_subject(w, request)
    _write_names(w, request)
    await subject.write_events(w)


def _status(subject: Subject) -> str:
    types = {item.get("type") for item in subject.status.get("conditions") or ()}
    text = "Denied" if "Denied" in types else "Approved" if "Approved" in types else "Pending"
    if "Failed" in types:
        text += ",Failed"
    return f"{text},Issued" if subject.status.get("certificate") else text


def _write_subject(w: Writer, request: x509.CertificateSigningRequest) -> None:
    from cryptography.x509.oid import NameOID

    def values(oid: x509.ObjectIdentifier) -> list[str]:
        return [str(attribute.value) for attribute in request.subject.get_attributes_for_oid(oid)]

    w.write("Subject:\n")
    for title, oid in (("Common Name", NameOID.COMMON_NAME), ("Serial Number", NameOID.SERIAL_NUMBER)):
        w.write(f"\t{title}:\t{''.join(values(oid)[-1:])}\n")
    for title, oid in (
        ("Organization", NameOID.ORGANIZATION_NAME),
        ("Organizational Unit", NameOID.ORGANIZATIONAL_UNIT_NAME),
        ("Country", NameOID.COUNTRY_NAME),
        ("Locality", NameOID.LOCALITY_NAME),
        ("Province", NameOID.STATE_OR_PROVINCE_NAME),
        ("StreetAddress", NameOID.STREET_ADDRESS),
        ("PostalCode", NameOID.POSTAL_CODE),
    ):
        _write_list(w, title, values(oid))


def _write_names(w: Writer, request: x509.CertificateSigningRequest) -> None:
    from cryptography import x509

    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    found = (
        ("DNS Names", names.get_values_for_type(x509.DNSName)),
        ("Email Addresses", names.get_values_for_type(x509.RFC822Name)),
        ("URIs", names.get_values_for_type(x509.UniformResourceIdentifier)),
        ("IP Addresses", names.get_values_for_type(x509.IPAddress)),
    )
    if any(values for _, values in found):
        w.write("Subject Alternative Names:\n")
    for title, values in found:
        _write_list(w, title, values)


def _write_list(w: Writer, title: str, values: Iterable[object]) -> None:
    before = f"{title}:"
    for value in values:
        w.write(f"\t{before}\t{value}\n")
        before = ""


DESCRIBERS = {"CertificateSigningRequest": describe_certificate_signing_request}
