"""The OCI Distribution API, reading side: manifests and blobs, with mirrors and authentication. Digests are checked on the way
in.

One `Registry` per pull: it keeps the connection, the tokens and the endpoint that answered. Source: OCI distribution-spec 1.1;
Docker's token specification.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import re
import ssl
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
from yarl import URL

from steersman.cri.interface import RegistryAuth, RuntimeFault
from steersman.cri.native.manifests import INDEXES, MANIFESTS, Descriptor, choose_platform, document, is_index
from steersman.cri.native.reference import Reference
from steersman.cri.native.registries import Endpoint, Registries, is_loopback
from steersman.cri.native.threads import off_loop
from steersman.machinery.clock import Clock

log = logging.getLogger(__name__)

_MANIFEST_LIMIT = 4 << 20
_ATTEMPTS = 5
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
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
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            manifest = document(data, "manifest")
            if is_index(manifest):
                data = await self._manifest(endpoint, choose_platform(manifest).digest)
            return Resolved(digest, data)
        raise RuntimeFault(f"failed to resolve reference {str(self._reference)!r}: {faults[-1]}", reason=faults[-1].reason)

    async def _manifest(self, endpoint: Endpoint, name: str) -> bytes:
        accept = {"Accept": ", ".join((*MANIFESTS, *INDEXES))}
        async with await self._get(endpoint, f"manifests/{name}", accept) as response:
            data = await response.content.read(_MANIFEST_LIMIT)
            while piece := await response.content.read(_MANIFEST_LIMIT):
                data += piece
                if len(data) > _MANIFEST_LIMIT:
                    raise RuntimeFault("manifest is too large", reason="ErrImagePull")
        if name.startswith("sha256:"):
            _check(data, name)
        return data

    async def blob(self, wanted: Descriptor) -> bytes:
        """A small blob in memory. Raises RuntimeFault."""
        if wanted.size > _MANIFEST_LIMIT:
            raise RuntimeFault(f"config {wanted.digest} is too large", reason="ErrImagePull")
        assert self._endpoint is not None
        async with await self._get(self._endpoint, f"blobs/{wanted.digest}", {}) as response:
            data = await response.read()
        _check(data, wanted.digest)
        return data

    async def download(self, wanted: Descriptor, path: str) -> None:
        """A blob into a file, hashed while it comes in; a broken connection goes on where it stopped. Raises RuntimeFault."""
        digest, done = hashlib.sha256(), 0
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            for attempt in range(_ATTEMPTS):
                try:
                    done = await self._append(wanted, fd, digest, done)
                    break
                except (aiohttp.ClientError, TimeoutError) as error:
                    if attempt == _ATTEMPTS - 1:
                        raise _unavailable(f"blob {wanted.digest}", error) from error
                    await self._clock.sleep(2**attempt / 4)
                    done = os.lseek(fd, 0, os.SEEK_CUR)
        finally:
            os.close(fd)
        if done != wanted.size or f"sha256:{digest.hexdigest()}" != wanted.digest:
            raise RuntimeFault(f"blob {wanted.digest} has other content than its digest says", reason="ErrImagePull")

    async def _append(self, wanted: Descriptor, fd: int, digest: Any, done: int) -> int:
        assert self._endpoint is not None
        headers = {"Range": f"bytes={done}-"} if done else {}
        async with await self._get(self._endpoint, f"blobs/{wanted.digest}", headers) as response:
            skip = done if response.status == 200 else 0  # it does not know ranges: pass over what we have
            async for piece in response.content.iter_chunked(1 << 18):
                fresh = piece[skip:]
                skip = max(0, skip - len(piece))
                digest.update(fresh)
                _write_all(fd, fresh)
                done += len(fresh)
                if done > wanted.size:
                    raise RuntimeFault(f"blob {wanted.digest} is longer than its manifest says", reason="ErrImagePull")
        return done

    async def _get(self, endpoint: Endpoint, what: str, headers: dict[str, str]) -> aiohttp.ClientResponse:
        """An answer of status 200 or 206, to be closed by the caller. Raises RuntimeFault (ClientError only while a body is
        read)."""
        url = URL(f"{endpoint.base}/{endpoint.path}/{what}", encoded=True)
        if endpoint.mirror_of and endpoint.mirror_of != endpoint.host:
            url = url.update_query(ns=endpoint.mirror_of)
        if url.scheme == "https" and endpoint.host not in self._tls:
            self._tls[endpoint.host] = await off_loop(self._registries.tls, endpoint.host)
        tls = self._tls.get(endpoint.host, True)
        for _ in range(2):
            known = {"Authorization": self._authorization[endpoint.host]} if endpoint.host in self._authorization else {}
            try:
                response = await self._session.get(url, headers={**headers, **known}, ssl=tls)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise _unavailable(endpoint.base, error) from error
            if response.status in (200, 206):
                return response
            challenges = response.headers.getall("WWW-Authenticate", [])
            response.release()
            if response.status != 401 or known:
                break
            self._authorization[endpoint.host] = await self._authorize(endpoint, challenges)
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
        realm = URL(challenge.get("realm", ""))
        try:
            if auth.identity_token:
                form = {**query, "grant_type": "refresh_token", "refresh_token": auth.identity_token, "client_id": "steersman"}
                request = self._session.post(realm, data=form)
            else:
                request = self._session.get(
                    realm.update_query(query), headers={"Authorization": _basic(auth)} if auth.username else {}
                )
            async with request as response:
                answer = await response.json(content_type=None) if response.status == 200 else {}
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise _unavailable(str(realm.with_query(None)), error) from error
        token = answer.get("token") or answer.get("access_token")
        if not token:
            raise RuntimeFault(f"pull access denied for {self._reference}: failed to authorize", reason="ErrImagePull")
        return str(token)


def _write_all(fd: int, data: bytes) -> None:
    """A disk that is nearly full takes a part, and refuses only the rest. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _basic(auth: RegistryAuth) -> str:
    return "Basic " + base64.b64encode(f"{auth.username}:{auth.password}".encode()).decode()


def _check(data: bytes, digest: str) -> None:
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
        raise RuntimeFault(f"content does not have the digest {digest}", reason="ErrImagePull")


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
