"""What a certificate signing request asks for, and the rules of the signers that the cluster has (upstream apis/certificates).

A rule is a function from a request to a sentence that says what is wrong, empty if nothing is. Parsing is the validation's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from steersman.api.validation.certificates import parse_request
from steersman.machinery.meta import Obj, is_condition_true

if TYPE_CHECKING:
    from cryptography import x509

CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
LEGACY_UNKNOWN = "kubernetes.io/legacy-unknown"
NODE_PREFIX = "system:node:"
NODES_GROUP = "system:nodes"

_BASIC = frozenset(("digital signature", "key encipherment"))


@dataclass(frozen=True, slots=True)
class Request:
    """A parsed request. `addresses` are IP addresses as text."""

    common_name: str
    organizations: tuple[str, ...]
    names: tuple[str, ...]
    addresses: tuple[str, ...]
    emails: tuple[str, ...]
    uris: tuple[str, ...]
    usages: frozenset[str]
    username: str
    csr: x509.CertificateSigningRequest

    @property
    def node(self) -> str:
        """The node's name if the subject is a node's, else empty."""
        return self.common_name.removeprefix(NODE_PREFIX) if self.common_name.startswith(NODE_PREFIX) else ""


def read(obj: Obj) -> Request:
    """Raises ValueError saying what is wrong with spec.request."""
    # Here and below, not above: the library is large, and most clusters have no requests most of the time.
    from cryptography.x509.oid import NameOID

    spec = obj.get("spec") or {}
    csr = parse_request(spec)
    names, addresses, emails, uris = _alternatives(csr)
    common = csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Request(
        common_name=str(common[-1].value) if common else "",
        organizations=tuple(str(part.value) for part in csr.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)),
        names=names,
        addresses=addresses,
        emails=emails,
        uris=uris,
        usages=frozenset(spec.get("usages") or ()),
        username=str(spec.get("username") or ""),
        csr=csr,
    )


def _alternatives(
    csr: x509.CertificateSigningRequest,
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    from cryptography import x509

    try:
        found = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return (), (), (), ()
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ValueError(str(error)) from error
    addresses = tuple(str(address) for address in found.get_values_for_type(x509.IPAddress))
    return (
        tuple(found.get_values_for_type(x509.DNSName)),
        addresses,
        tuple(found.get_values_for_type(x509.RFC822Name)),
        tuple(found.get_values_for_type(x509.UniformResourceIdentifier)),
    )


def _node_subject(request: Request) -> str:
    if request.organizations != (NODES_GROUP,):
        return "subject organization is not system:nodes"
    return "" if request.node else "subject common name does not begin with system:node: "


def _usages(request: Request, purpose: str) -> str:
    allowed = {"digital signature", purpose}
    if request.usages in (allowed, allowed | _BASIC):
        return ""
    return f"usages did not match [{' '.join(sorted(allowed | _BASIC))}]"


def kubelet_client(request: Request) -> str:
    """A node's client certificate names the node, and nothing else."""
    for found, what in ((request.names, "DNS"), (request.emails, "Email"), (request.addresses, "IP"), (request.uris, "URI")):
        if found:
            return f"{what} subjectAltNames are not allowed"
    return _node_subject(request) or _usages(request, "client auth")


def kubelet_serving(request: Request) -> str:
    """A node's serving certificate is for names and addresses."""
    for found, what in ((request.emails, "Email"), (request.uris, "URI")):
        if found:
            return f"{what} subjectAltNames are not allowed"
    if not request.names and not request.addresses:
        return "DNS or IP subjectAltName is required"
    return _node_subject(request) or _usages(request, "server auth")


def api_client(request: Request) -> str:
    """Any client certificate; that nobody becomes a master, admission saw to."""
    if "client auth" not in request.usages or not request.usages <= _BASIC | {"client auth"}:
        return "usages did not match [client auth digital signature key encipherment]"
    return ""


def anything(_request: Request) -> str:
    """Requests of before v1, which named no signer."""
    return ""


SIGNERS: Mapping[str, Callable[[Request], str]] = {
    CLIENT: api_client,
    KUBELET_CLIENT: kubelet_client,
    KUBELET_SERVING: kubelet_serving,
    LEGACY_UNKNOWN: anything,
}
"""Signer name -> its rule. Requests for other signers are other controllers'."""


def signer_of(obj: Obj) -> str:
    return str((obj.get("spec") or {}).get("signerName") or "")


def is_decided(obj: Obj) -> bool:
    """Approved or denied."""
    conditions = (obj.get("status") or {}).get("conditions")
    return is_condition_true(conditions, "Approved") or is_condition_true(conditions, "Denied")


def is_issued(obj: Obj) -> bool:
    return bool((obj.get("status") or {}).get("certificate"))
