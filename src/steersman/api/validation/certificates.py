"""Validation of certificate signing requests."""

from __future__ import annotations

import re
from base64 import b64decode
from typing import TYPE_CHECKING

from steersman.api.equality import same
from steersman.api.validation.common import Errors, complain, needs, unique
from steersman.machinery import names
from steersman.machinery.fielderrors import FieldError, forbidden, invalid, not_supported, too_long
from steersman.machinery.meta import Obj

if TYPE_CHECKING:
    from cryptography.x509 import CertificateSigningRequest

LEGACY_UNKNOWN = "kubernetes.io/legacy-unknown"
_FINAL = ("Approved", "Denied", "Failed")
_APPROVAL = ("Approved", "Denied")
_STATUSES = ("False", "True", "Unknown")
_MIN_SECONDS, _SIGNER_LIMIT, _DOMAIN_LIMIT = 600, 571, 253
_USAGES = (
    "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment", "decipher only",
    "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel", "ipsec user", "key agreement",
    "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime", "server auth", "signing", "timestamping",
)  # fmt: skip
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\r?\n(.*?)-----END \1-----[ \t]*\r?\n?", re.DOTALL)


def parse_request(spec: Obj) -> CertificateSigningRequest:
    """The PKCS#10 request in spec.request. Raises ValueError saying what is wrong with it."""
    from cryptography.x509 import load_der_x509_csr  # needed for this kind alone, and slow to load

    found = _PEM.search(b64decode(spec.get("request") or ""))
    if found is None or found[1] != b"CERTIFICATE REQUEST":
        raise ValueError("PEM block type must be CERTIFICATE REQUEST")
    request = load_der_x509_csr(b64decode(found[2]))
    if not request.is_signature_valid:
        raise ValueError("x509: certificate request signature is not valid")
    return request


def validate_request(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    spec = obj.get("spec") or {}
    try:
        parse_request(spec)
    except ValueError as error:
        errors.append(invalid("spec.request", spec.get("request") or "", str(error)))
    _usages(errors, "spec.usages", spec.get("usages") or [])
    signer = spec.get("signerName") or ""
    if signer == LEGACY_UNKNOWN:
        errors.append(invalid("spec.signerName", signer, "the legacy signerName is not allowed via this API version"))
    else:
        _signer(errors, "spec.signerName", signer)
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < _MIN_SECONDS:
        text = f"may not specify a duration less than {_MIN_SECONDS} seconds (10 minutes)"
        errors.append(invalid("spec.expirationSeconds", seconds, text))
    return errors


def _usages(errors: Errors, path: str, usages: list[str]) -> None:
    needs(errors, path, usages, "usages must be provided")
    seen: set[str] = set()
    for index, usage in enumerate(usages):
        if usage not in _USAGES:
            errors.append(not_supported(f"{path}[{index}]", usage, _USAGES))
        unique(errors, f"{path}[{index}]", usage, seen)


def _signer(errors: Errors, path: str, signer: str) -> None:
    """`example.com/signer-name`."""
    if not needs(errors, path, signer):
        return
    domain, slash, rest = signer.partition("/")
    if not slash or "/" in rest:
        text = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        errors.append(invalid(path, signer, text))
        return
    if len(domain) > _DOMAIN_LIMIT:
        errors.append(too_long(path, _DOMAIN_LIMIT))
    for whole in (domain, rest):
        for label in whole.split("."):
            complain(errors, path, whole, (f'validating label "{label}": {text}' for text in names.dns1123_label(label)))
        if whole is domain and "." not in domain:
            errors.append(invalid(path, domain, "should be a domain with at least two segments separated by dots"))
    if len(signer) > _SIGNER_LIMIT:
        errors.append(too_long(path, _SIGNER_LIMIT))


def _conditions(errors: Errors, path: str, items: list[Obj]) -> None:
    seen: set[str] = set()
    for index, item in enumerate(items):
        inner, kind, status = f"{path}[{index}]", item.get("type") or "", item.get("status") or ""
        needs(errors, f"{inner}.type", kind)
        allowed = ("True",) if kind in _FINAL else _STATUSES
        if needs(errors, f"{inner}.status", status) and status not in allowed:
            errors.append(not_supported(f"{inner}.status", status, allowed))
        if kind in _APPROVAL and any(other in seen for other in _APPROVAL if other != kind):
            errors.append(invalid(f"{inner}.type", kind, "Approved and Denied conditions are mutually exclusive"))
        unique(errors, f"{inner}.type", kind, seen)


def _certificate(errors: Errors, path: str, value: str) -> None:
    """PEM blocks of certificates, and nothing but text between them."""
    if not value:
        return
    from cryptography.x509 import load_der_x509_certificate

    shown, count = "<certificate data>", 0
    for found in _PEM.finditer(b64decode(value)):
        if found[1] != b"CERTIFICATE":
            kind = found[1].decode()
            errors.append(invalid(path, shown, f'only CERTIFICATE PEM blocks are allowed, found "{kind}"'))
            return
        if b":" in found[2]:
            errors.append(invalid(path, shown, "no PEM block headers are permitted"))
            return
        try:
            load_der_x509_certificate(b64decode(found[2]))
        except ValueError as error:
            errors.append(invalid(path, shown, str(error)))
            return
        count += 1
    if not count:
        errors.append(invalid(path, shown, "must contain at least one CERTIFICATE PEM block"))


def _of(obj: Obj) -> tuple[list[Obj], str]:
    status = obj.get("status") or {}
    return status.get("conditions") or [], status.get("certificate") or ""


def _typed(items: list[Obj], kind: str) -> list[Obj]:
    return [item for item in items if item.get("type") == kind]


def _update(new: Obj, old: Obj) -> Errors:
    """What status and approval updates share. Conditions and certificates that were stored may stay as they are."""
    errors: Errors = []
    (items, certificate), (stored, issued) = _of(new), _of(old)
    if not same(items, stored):
        _conditions(errors, "status.conditions", items)
    if certificate != issued:
        _certificate(errors, "status.certificate", certificate)
    for kind in _FINAL:
        if len(_typed(items, kind)) < len(_typed(stored, kind)):
            errors.append(forbidden("status.conditions", f'updates may not remove a condition of type "{kind}"'))
    return errors


def validate_approval(new: Obj, old: Obj) -> list[FieldError]:
    return _update(new, old)


def validate_status(new: Obj, old: Obj) -> list[FieldError]:
    errors = _update(new, old)
    (items, certificate), (stored, issued) = _of(new), _of(old)
    for kind in _APPROVAL:
        if len(_typed(items, kind)) > len(_typed(stored, kind)):
            errors.append(forbidden("status.conditions", f'updates may not add a condition of type "{kind}"'))
        elif not same(_typed(items, kind), _typed(stored, kind)):
            errors.append(forbidden("status.conditions", f'updates may not modify a condition of type "{kind}"'))
    if issued and certificate != issued:
        errors.append(forbidden("status.certificate", "updates may not modify existing certificate content"))
    return errors
