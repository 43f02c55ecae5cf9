"""The front proxy: a client that has proved who it is by certificate says, in headers, for whom it asks (--requestheader-…).

Source: upstream apiserver/pkg/authentication/request/{headerrequest,x509}. TLS takes certificates of either CA; which one has
signed is asked here, and for ordinary clients in `signed_by`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from steersman.apiserver.access import RequestHeaderSettings
from steersman.apiserver.config import ConfigError
from steersman.apiserver.contracts import UserInfo
from steersman.apiserver.http import Request

_MEMO_LIMIT = 256


class FrontProxy:
    """`user` is asked on every request that shows a certificate."""

    def __init__(self, settings: RequestHeaderSettings) -> None:
        """Raises ConfigError, OSError."""
        self._authorities = authorities(settings.client_ca_file)
        self._names = frozenset(settings.allowed_names)
        self._user, self._uid, self._groups, self._extra = (
            tuple(header.lower() for header in headers)
            for headers in (
                settings.username_headers, settings.uid_headers, settings.group_headers, settings.extra_headers_prefix,
            )
        )  # fmt: skip
        self._known: dict[x509.Certificate, bool] = {}

    def user(self, request: Request) -> UserInfo | None:
        """Whom the headers name; None if the caller is not the proxy, or names nobody."""
        headers = request.headers
        # First, because it is cheap and the answer nearly always: every ordinary client shows a certificate.
        name = next((headers[header] for header in self._user if headers.get(header)), "")
        if not name or request.peer is None or not self._trusted(request.peer):
            return None
        uid = next((headers[header] for header in self._uid if headers.get(header)), "")
        groups = tuple(value for header in self._groups for value in _values(request, header))
        return UserInfo(name, uid, groups, dict(self._extras(request)))

    def _extras(self, request: Request) -> Iterator[tuple[str, tuple[str, ...]]]:
        for prefix in self._extra:
            for header in request.headers:
                if header.startswith(prefix):
                    yield unquote(header[len(prefix) :]).lower(), tuple(_values(request, header))

    def _trusted(self, peer: x509.Certificate) -> bool:
        known = self._known.get(peer)
        if known is None:
            names = {str(item.value) for item in peer.subject.get_attributes_for_oid(NameOID.COMMON_NAME)}
            known = signed_by(peer, self._authorities) and (not self._names or bool(names & self._names))
            if len(self._known) >= _MEMO_LIMIT:
                self._known.clear()
            self._known[peer] = known
        return known


def authorities(path: Path) -> list[x509.Certificate]:
    """The certificates of a bundle. Raises ConfigError, OSError."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError as fault:
        raise ConfigError(f"{path}: no certificates: {fault}") from fault


def signed_by(certificate: x509.Certificate, bundle: Sequence[x509.Certificate]) -> bool:
    """Whether one of the bundle has signed it itself: an authority in between must be in the bundle as well."""
    for authority in bundle:
        try:
            certificate.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False


def _values(request: Request, header: str) -> Sequence[str]:
    repeated: Mapping[str, tuple[str, ...]] = request.repeated
    if header in repeated:
        return repeated[header]
    return (request.headers[header],) if header in request.headers else ()
