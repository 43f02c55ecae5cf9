"""The server's token signing key: makes and verifies service account JWTs, and publishes the public half (OIDC discovery).

Source: upstream pkg/serviceaccount/{jwt,claims,openidmetadata}.go; RFC 7517 (JWK), 7518 (algorithms), 7519 (JWT).
What is not here: whether a token's account and bound objects still exist (authn/serviceaccounts.py), the TokenRequest
endpoint (reviews/tokenrequest.py).
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from steersman.apiserver.config import ServerConfig
from steersman.machinery.meta import Obj

JWKS_PATH = "/openid/v1/jwks"
CONFIGURATION_PATH = "/.well-known/openid-configuration"
_BY_CURVE = {"secp256r1": ("ES256", "P-256"), "secp384r1": ("ES384", "P-384"), "secp521r1": ("ES512", "P-521")}
_UNVERIFIED: Any = {"verify_signature": False, "verify_exp": False, "verify_aud": False}
# The times are checked by the caller, on the injected clock.
_SIGNATURE_ONLY: Any = {
    "verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False, "verify_iss": False,
    "verify_sub": False, "verify_jti": False,
}  # fmt: skip


class InvalidToken(Exception):
    """The token claims to be ours but must not be accepted; the text is for TokenReview's status.error and the log."""


class TokenAuthority:
    """`issuer` and `audiences` are what tokens carry when the request doesn't say."""

    def __init__(self, key_pem: bytes, issuer: str, audiences: tuple[str, ...], *, jwks_uri: str = "") -> None:
        key = serialization.load_pem_private_key(key_pem, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ValueError("the service account key must be an RSA or an elliptic curve key")
        self.issuer, self.audiences = issuer, audiences
        self._key = key
        self._public = key.public_key()
        self._jwks_uri = jwks_uri or issuer + JWKS_PATH
        self._algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else _BY_CURVE[key.curve.name][0]
        der = self._public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self._key_id = _base64url(hashlib.sha256(der).digest())

    @classmethod
    def load(cls, config: ServerConfig) -> TokenAuthority:
        """Reads the key file. OSError or ValueError if that can't be used."""
        jwks_uri = f"https://{config.advertise_address}:{config.secure_port}{JWKS_PATH}"
        return cls(
            config.service_account_key.read_bytes(), config.service_account_issuer, config.api_audiences, jwks_uri=jwks_uri
        )

    def sign(self, claims: Obj) -> str:
        return jwt.encode(claims, self._key, self._algorithm, headers={"kid": self._key_id})

    def verify(self, token: str) -> Obj | None:
        """The claims if we signed them; times and audiences are not looked at. None: not a token of ours.

        Raises InvalidToken if it names us as issuer but the signature is wrong.
        """
        try:
            claims: Obj = jwt.decode(token, options=_UNVERIFIED)
        except jwt.PyJWTError:
            return None
        if claims.get("iss") != self.issuer:
            return None
        try:
            return jwt.decode(token, self._public, [self._algorithm], options=_SIGNATURE_ONLY)
        except jwt.PyJWTError as error:
            raise InvalidToken("invalid signature, no keys found") from error

    def jwks(self) -> bytes:
        """The JSON Web Key Set (application/jwk-set+json)."""
        key: Obj = {"use": "sig", "kid": self._key_id, "alg": self._algorithm}
        if isinstance(self._public, rsa.RSAPublicKey):
            rsa_numbers = self._public.public_numbers()
            key |= {"kty": "RSA", "n": _base64url_int(rsa_numbers.n), "e": _base64url_int(rsa_numbers.e)}
        else:
            numbers = self._public.public_numbers()
            width = (self._public.curve.key_size + 7) // 8
            key |= {"kty": "EC", "crv": _BY_CURVE[self._public.curve.name][1]}
            key |= {"x": _base64url_int(numbers.x, width), "y": _base64url_int(numbers.y, width)}
        return orjson.dumps({"keys": [key]})

    def openid_configuration(self) -> bytes:
        """The discovery document (application/json)."""
        return orjson.dumps(
            {
                "issuer": self.issuer,
                "jwks_uri": self._jwks_uri,
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [self._algorithm],
            }
        )


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _base64url_int(number: int, width: int = 0) -> str:
    return _base64url(number.to_bytes(width or (number.bit_length() + 7) // 8, "big"))
