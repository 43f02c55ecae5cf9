"""An OpenID Connect issuer on the loopback interface: its configuration, its keys, and tokens signed with them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests.fakes import httpd

from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj


class Issuer:
    """`httpd` is set once it serves. The key in use is the last of `keys`."""

    httpd: httpd.Httpd

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.keys: list[tuple[str, str, Any]] = []
        self.up = True
        self.claimed_url = ""
        self.discovery = "/.well-known/openid-configuration"
        self.rotate("RS256")

    @property
    def url(self) -> str:
        return self.httpd.url

    @property
    def ca_pem(self) -> str:
        return self.httpd.ca.read_text()

    def fetched(self) -> list[str]:
        return [path for _, path, _ in self.httpd.seen]

    def rotate(self, algorithm: str) -> None:
        """Sign with a new key from now on; the one before is forgotten."""
        self.add(algorithm)
        del self.keys[:-1]

    def add(self, algorithm: str) -> None:
        key: Any = ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else rsa.generate_private_key(65537, 2048)
        self.keys.append((f"key-{id(key)}", algorithm, key))

    def sign(self, *, lasts_s: int = 3600, **claims: Any) -> str:
        now = int(self._clock.now().timestamp())
        name, algorithm, key = self.keys[-1]
        body: Obj = {"iss": self.url, "aud": "k8s", "sub": "jane", "iat": now, "exp": now + lasts_s, **claims}
        return jwt.encode(body, key, algorithm, headers={"kid": name})

    def respond(self, _method: str, path: str, _body: Any) -> tuple[int, Any]:
        if not self.up:
            return 503, {}
        if path == self.discovery:
            return 200, {"issuer": self.claimed_url or self.url, "jwks_uri": f"{self.url}/keys"}
        if path == "/keys":
            return 200, {"keys": [_jwk(name, algorithm, key) for name, algorithm, key in self.keys]}
        return 404, {}


def _jwk(name: str, algorithm: str, key: Any) -> Obj:
    kind = jwt.algorithms.ECAlgorithm if algorithm == "ES256" else jwt.algorithms.RSAAlgorithm
    found: Obj = orjson.loads(kind.to_jwk(key.public_key()))
    return found | {"kid": name, "use": "sig", "alg": algorithm}


@asynccontextmanager
async def serving(directory: Path, clock: Clock) -> AsyncIterator[Issuer]:
    issuer = Issuer(clock)
    async with httpd.serving(directory, issuer.respond) as issuer.httpd:
        yield issuer
