"""The OCI Distribution API, reading side: manifests and blobs, with mirrors and authentication. Digests are checked on the way
in.

One `Registry` per pull: it keeps the connection, the tokens and the endpoint that answered. Source: OCI distribution-spec 1.1;
Docker's token specification.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
import ssl
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
from yarl import URL

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import RegistryAuth
from steersman.cri.native.download import Download
from steersman.cri.native.manifests import INDEXES, MANIFESTS, Descriptor, bad, choose_platform, document, is_index
from steersman.cri.native.reference import Reference
from steersman.cri.native.registries import Endpoint, Registries, is_loopback
from steersman.cri.native.threads import off_loop
from steersman.machinery.clock import Clock

log = logging.getLogger(__name__)

_MANIFEST_LIMIT = 4 << 20
_TOKEN_LIMIT = 1 << 20
_NESTED = 4
"""How deep indexes may lie in indexes."""
_ATTEMPTS = 5
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
_BUSY_S, _BUSY_MOST_S = 1.0, 30.0
"""How long to leave a registry alone that says 429, if it does not say itself; and at most."""
_RANGE = re.compile(r"bytes (\d{1,18})-")
_CHALLENGE = re.compile(r'([a-z_]+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Resolved:
    """An image as a registry has it for this machine. `digest`: of what the reference names, often an index."""

    digest: str
    manifest: bytes


class Registry:
    """A pull session. `auth`: the pod's credentials, used instead of those configured."""

    def __init__(self, registries: Registries, clock: Clock, reference: Reference, auth: RegistryAuth | None) -> None:
        self._registries, self._clock, self._reference, self._auth = registries, clock, reference, auth
        self._endpoint: Endpoint | None = None
        self._authorization: dict[str, str] = {}
        """Authorization header by host."""
        self._tls: dict[str, ssl.SSLContext] = {}

    async def __aenter__(self) -> Self:
        # A proxy of the environment is for registries out there, not for one on this machine.
        proxies = not is_loopback(self._reference.domain)
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=proxies, auto_decompress=False)
        return self

    async def __aexit__(self, *details: Any) -> None:
        await self._session.close()

    async def resolve(self) -> Resolved:
        """Ask the endpoints in order for the manifest; the first that has it is used for all that follows. Raises
        RuntimeFault."""
        faults: list[RuntimeFault] = []
        for endpoint in self._registries.endpoints(self._reference):
            try:
                data = await self._manifest(endpoint, self._reference.digest or self._reference.tag)
            except RuntimeFault as fault:
                log.info("registry endpoint failed endpoint=%s image=%s error=%s", endpoint.base, self._reference, fault)
                faults.append(fault)
                continue
            self._endpoint = endpoint
            return Resolved(f"sha256:{hashlib.sha256(data).hexdigest()}", await self._for_this_machine(endpoint, data))
        raise RuntimeFault(f"failed to resolve reference {str(self._reference)!r}: {faults[-1]}", reason=faults[-1].reason)

    async def _for_this_machine(self, endpoint: Endpoint, data: bytes) -> bytes:
        for _ in range(_NESTED):
            manifest = document(data, "manifest")
            if not is_index(manifest):
                return data
            data = await self._manifest(endpoint, choose_platform(manifest).digest)
        raise bad(f"indexes lie in each other more than {_NESTED} deep")

    async def _manifest(self, endpoint: Endpoint, name: str) -> bytes:
        accept = {"Accept": ", ".join((*MANIFESTS, *INDEXES))}
        async with await self._get(endpoint, f"manifests/{name}", accept) as response:
            data = await _body(response, _MANIFEST_LIMIT, f"manifest {name}")
        if ":" in name:
            _check(data, name)
        return data

    async def blob(self, wanted: Descriptor) -> bytes:
        """A small blob in memory. Raises RuntimeFault."""
        assert self._endpoint is not None
        async with await self._get(self._endpoint, f"blobs/{wanted.digest}", {}) as response:
            data = await _body(response, _MANIFEST_LIMIT, f"config {wanted.digest}")
        _check(data, wanted.digest)
        return data

    async def download(self, wanted: Descriptor, path: str) -> None:
        """A blob into a file, hashed while it comes in; a broken connection goes on where it stopped. Raises RuntimeFault."""
        with Download(wanted, path, self._clock) as download:
            for attempt in range(_ATTEMPTS):
                try:
                    await self._append(wanted, download)
                    break
                except (aiohttp.ClientError, TimeoutError) as error:
                    if attempt == _ATTEMPTS - 1:
                        raise _unavailable(f"blob {wanted.digest}", error) from error
                    log.info("a download broke off and goes on digest=%s at=%d error=%s", wanted.digest, download.done, error)
                    await self._clock.sleep(2**attempt / 4)
            download.check()

    async def _append(self, wanted: Descriptor, download: Download) -> None:
        assert self._endpoint is not None
        if download.done and download.done == wanted.size:  # it broke off right at the end
            return
        headers = {"Range": f"bytes={download.done}-"} if download.done else {}
        async with await self._get(self._endpoint, f"blobs/{wanted.digest}", headers) as response:
            skip = download.done
            if response.status == 206 and (given := _RANGE.match(response.headers.get("Content-Range", ""))):
                skip = download.done - int(given[1])
            elif response.status == 206 and download.done:
                skip = 0
            if skip < 0:
                raise bad(f"blob {wanted.digest}: the registry answers with another part than it was asked for")
            async for piece in response.content.iter_chunked(1 << 18):
                # Of a registry that does not know ranges we pass over what we have.
                download.add(piece[skip:])
                skip = max(0, skip - len(piece))

    async def _get(self, endpoint: Endpoint, what: str, headers: dict[str, str]) -> aiohttp.ClientResponse:
        """An answer of status 200 or 206, to be closed by the caller. Raises RuntimeFault (ClientError only while a body is
        read)."""
        url = URL(f"{endpoint.base}/{endpoint.path}/{what}", encoded=True)
        if endpoint.mirror_of and endpoint.mirror_of != endpoint.host:
            url = url.update_query(ns=endpoint.mirror_of)
        if url.scheme == "https" and endpoint.host not in self._tls:
            self._tls[endpoint.host] = await off_loop(self._registries.tls, endpoint.host)
        tls = self._tls.get(endpoint.host, True)
        asked, busy = False, 0
        while True:
            known = self._authorization.get(endpoint.host)
            try:
                response = await self._session.get(url, headers={**headers, **_authorized(known)}, ssl=tls)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                raise _unavailable(endpoint.base, error) from error
            if response.status in (200, 206):
                return response
            challenges = response.headers.getall("WWW-Authenticate", [])
            pause_s = _retry_after(response.headers.get("Retry-After", ""))
            response.close()
            if response.status == 429 and busy < _ATTEMPTS:
                busy += 1
                await self._clock.sleep(min(pause_s or _BUSY_S * 2**busy, _BUSY_MOST_S))
            # Once more with new credentials: tokens live for minutes, and a pull may take longer.
            elif response.status == 401 and not asked:
                asked = True
                if self._authorization.get(endpoint.host) == known:
                    self._authorization.pop(endpoint.host, None)
                    self._authorization[endpoint.host] = await self._authorize(endpoint, challenges)
            else:
                raise _refused(str(self._reference), response.status, what)

    async def _authorize(self, endpoint: Endpoint, challenges: list[str]) -> str:
        """The Authorization header that answers a challenge. Raises RuntimeFault."""
        configured = self._registries.auth(endpoint.host)
        # The pod's credentials are for the registry it named, never for a mirror somebody else configured.
        auth = self._auth if self._auth and not endpoint.mirror_of else configured
        if auth.registry_token:
            return f"Bearer {auth.registry_token}"
        for challenge in challenges:
            scheme, _, rest = challenge.partition(" ")
            if scheme.lower() == "bearer":
                return f"Bearer {await self._token(dict(_CHALLENGE.findall(rest)), endpoint, auth)}"
            if scheme.lower() == "basic" and auth.username:
                return _basic(auth)
        raise RuntimeFault(f"pull access denied for {self._reference}: authorization failed", reason="ErrImagePull")

    async def _token(self, challenge: dict[str, str], endpoint: Endpoint, auth: RegistryAuth) -> str:
        query = {key: challenge[key] for key in ("service", "scope") if challenge.get(key)}
        query.setdefault("scope", f"repository:{endpoint.path}:pull")
        realm = URL()
        try:
            realm = URL(challenge.get("realm", ""))
            if auth.identity_token:
                form = {**query, "grant_type": "refresh_token", "refresh_token": auth.identity_token, "client_id": "steersman"}
                request = self._session.post(realm, data=form)
            else:
                request = self._session.get(
                    realm.update_query(query), headers={"Authorization": _basic(auth)} if auth.username else {}
                )
            async with request as response:
                data = await _body(response, _TOKEN_LIMIT, "token") if response.status == 200 else b"{}"
                answer = document(data, "the answer of the token service")
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise _unavailable(str(realm.with_query(None)), error) from error
        token = answer.get("token") or answer.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise RuntimeFault(f"pull access denied for {self._reference}: failed to authorize", reason="ErrImagePull")
        return token


async def _body(response: aiohttp.ClientResponse, limit: int, what: str) -> bytes:
    """A small body. Raises RuntimeFault."""
    data = bytearray()
    try:
        async for piece in response.content.iter_chunked(1 << 16):
            data += piece
            if len(data) > limit:
                raise bad(f"{what} is too large: more than {limit >> 20} MiB")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise _unavailable(what, error) from error
    return bytes(data)


def _authorized(header: str | None) -> dict[str, str]:
    return {"Authorization": header} if header else {}


def _retry_after(text: str) -> float:
    """Seconds; 0 for a date or nonsense."""
    return float(text) if text.isascii() and text.isdecimal() else 0.0


def _basic(auth: RegistryAuth) -> str:
    return "Basic " + base64.b64encode(f"{auth.username}:{auth.password}".encode()).decode()


def _check(data: bytes, digest: str) -> None:
    algorithm, _, value = digest.partition(":")
    if hashlib.new(algorithm, data).hexdigest() != value:
        raise bad(f"content does not have the digest {digest}")


def _unavailable(what: str, error: Exception) -> RuntimeFault:
    why: object = error
    if isinstance(error, aiohttp.ClientConnectorError):  # whose own text shows the TLS context
        why = f"cannot connect to {error.host}:{error.port}: {error.os_error.strerror or error.os_error}"
    return RuntimeFault(f"{what}: {why or type(error).__name__}", reason="RegistryUnavailable")


def _refused(name: str, status: int, what: str) -> RuntimeFault:
    if status == 404:
        return RuntimeFault(f"{name}: not found", reason="ErrImagePull")
    if status in (401, 403):
        return RuntimeFault(
            f"pull access denied, repository does not exist or may require authorization: {name}", reason="ErrImagePull"
        )
    reason = "RegistryUnavailable" if status >= 500 or status == 429 else "ErrImagePull"
    return RuntimeFault(f"unexpected status {status} for {what.partition('/')[0]} of {name}", reason=reason)
