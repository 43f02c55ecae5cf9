"""The cluster's key of service account tokens, for those that are kept in Secrets. Tokens on request are the API server's.

The key is read when the first one is signed: most clusters have none, and the library is large.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from steersman.machinery.meta import Obj

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


class FileTokenSigner:
    """A private key in a PEM file. Raises OSError at once if it can't be read."""

    def __init__(self, key: Path) -> None:
        self._path = key
        key.open("rb").close()

    @cached_property
    def _key(self) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec, rsa

        key = serialization.load_pem_private_key(self._path.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ValueError(f"{self._path} is neither an EC nor an RSA key")
        return key

    @cached_property
    def _head(self) -> tuple[str, str]:
        """(algorithm, key id): upstream names a key after the digest of its public half."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        form = serialization.PublicFormat.SubjectPublicKeyInfo
        der = self._key.public_key().public_bytes(serialization.Encoding.DER, form)
        algorithm = _ALGORITHMS[self._key.curve.name] if isinstance(self._key, ec.EllipticCurvePrivateKey) else "RS256"
        return algorithm, _part(hashlib.sha256(der).digest())

    def sign(self, claims: Obj) -> str:
        """The same for the same claims: RSA's PKCS #1 v1.5, or ECDSA as RFC 6979 has it (JWS: RFC 7515, 7518)."""
        algorithm, key_id = self._head
        head, body = ({"alg": algorithm, "kid": key_id}, claims)
        signed = f"{_part(_json(head))}.{_part(_json(body))}"
        return f"{signed}.{_part(self._signature(signed.encode(), algorithm))}"

    def _signature(self, signed: bytes, algorithm: str) -> bytes:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

        digest = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[algorithm[2:]]
        if not isinstance(self._key, ec.EllipticCurvePrivateKey):
            return self._key.sign(signed, padding.PKCS1v15(), digest)
        pair = utils.decode_dss_signature(self._key.sign(signed, ec.ECDSA(digest, deterministic_signing=True)))
        width = (self._key.curve.key_size + 7) // 8
        return b"".join(number.to_bytes(width, "big") for number in pair)


def _json(part: Obj) -> bytes:
    return json.dumps(part, separators=(",", ":")).encode()


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
