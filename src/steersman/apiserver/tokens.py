"""The server's token signing key: makes and verifies service account JWTs, and publishes the public half (OIDC discovery).

Source: upstream pkg/serviceaccount/{jwt,claims,openidmetadata}.go; RFC 7517 (JWK), 7518 (algorithms), 7519 (JWT).
What is not here: whether a token's account and bound objects still exist (authn/serviceaccounts.py), the TokenRequest
endpoint (reviews/tokenrequest.py).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from steersman.apiserver.config import ConfigError, ServerConfig
from steersman.machinery.meta import Obj

JWKS_PATH = "/openid/v1/jwks"
CONFIGURATION_PATH = "/.well-known/openid-configuration"
_BY_CURVE = {"secp256r1": ("ES256", "P-256"), "secp384r1": ("ES384", "P-384"), "secp521r1": ("ES512", "P-521")}
_WRONG_KEY = "the service account key must be an RSA or an elliptic curve key"
_UNVERIFIED: Any = {"verify_signature": False, "verify_exp": False, "verify_aud": False}
# The times are checked by the caller, on the injected clock.
_SIGNATURE_ONLY: Any = {
    "verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False, "verify_iss": False,
    "verify_sub": False, "verify_jti": False,
}  # fmt: skip


class InvalidToken(Exception):
    """The token claims to be ours but must not be accepted; the text is for TokenReview's status.error and the log."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long tokens live: `longest_s` at most (0: as asked); `extend`: what pods get by default lives a year."""

    longest_s: int = 0
    extend: bool = True


_NO_LIMITS = Limits()


class _Key:
    """A public key that verifies tokens."""

    def __init__(self, public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> None:
        self.public = public
        self.algorithm = "RS256" if isinstance(public, rsa.RSAPublicKey) else _BY_CURVE[public.curve.name][0]
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.id = _base64url(hashlib.sha256(der).digest())

    def jwk(self) -> Obj:
        found: Obj = {"use": "sig", "kid": self.id, "alg": self.algorithm}
        if isinstance(self.public, rsa.RSAPublicKey):
            rsa_numbers = self.public.public_numbers()
            return found | {"kty": "RSA", "n": _base64url_int(rsa_numbers.n), "e": _base64url_int(rsa_numbers.e)}
        numbers = self.public.public_numbers()
        width = (self.public.curve.key_size + 7) // 8
        found |= {"kty": "EC", "crv": _BY_CURVE[self.public.curve.name][1]}
        return found | {"x": _base64url_int(numbers.x, width), "y": _base64url_int(numbers.y, width)}


def _public_key(pem: bytes) -> _Key:
    """Of a public key, or of the private one. Raises ValueError."""
    found = (
        serialization.load_pem_private_key(pem, None).public_key()
        if b"PRIVATE KEY" in pem
        else serialization.load_pem_public_key(pem)
    )
    if not isinstance(found, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise ValueError(_WRONG_KEY)
    return _Key(found)


class TokenAuthority:
    """`issuer` and `audiences` are what tokens carry when the request doesn't say.

    trusted: more keys, public or private, whose tokens are good as well: those of other servers, or of the time before.
    accepted_issuers: names that tokens may carry as well, of the time before.
    """

    def __init__(
        self,
        key_pem: bytes,
        issuer: str,
        audiences: tuple[str, ...],
        *,
        jwks_uri: str = "",
        trusted: Sequence[bytes] = (),
        accepted_issuers: Sequence[str] = (),
        limits: Limits = _NO_LIMITS,
    ) -> None:
        key = serialization.load_pem_private_key(key_pem, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ValueError(_WRONG_KEY)
        self.issuer, self.audiences = issuer, audiences
        self.issuers = (issuer, *accepted_issuers)
        self.limits = limits
        self._key, own = key, _Key(key.public_key())
        self._jwks_uri = jwks_uri or issuer + JWKS_PATH
        self._algorithm, self._key_id = own.algorithm, own.id
        self._keys = {own.id: own} | {key.id: key for key in map(_public_key, trusted)}

    @classmethod
    def load(cls, config: ServerConfig) -> TokenAuthority:
        """Reads the key files. Raises OSError, ConfigError."""
        jwks_uri = config.service_account_jwks_uri or f"https://{config.advertise_address}:{config.secure_port}{JWKS_PATH}"
        try:
            return cls._of(config, jwks_uri)
        except ValueError as error:
            names = ", ".join(str(path) for path in (config.service_account_key, *config.service_account_trusted_keys))
            raise ConfigError(f"no key for service account tokens in {names}: {error}") from error

    @classmethod
    def _of(cls, config: ServerConfig, jwks_uri: str) -> TokenAuthority:
        return cls(
            config.service_account_key.read_bytes(),
            config.service_account_issuer,
            config.api_audiences,
            jwks_uri=jwks_uri,
            trusted=[path.read_bytes() for path in config.service_account_trusted_keys],
            accepted_issuers=config.service_account_accepted_issuers,
            limits=Limits(config.service_account_max_token_s, config.service_account_extend_tokens),
        )

    def sign(self, claims: Obj) -> str:
        return jwt.encode(claims, self._key, self._algorithm, headers={"kid": self._key_id})

    def verify(self, token: str, issuers: Sequence[str] = ()) -> Obj | None:
        """The claims if we signed them; times and audiences are not looked at. None: not a token of ours.

        issuers: whom the token may name in place of us. Raises InvalidToken if it names us as issuer but the signature is wrong.
        """
        try:
            claims: Obj = jwt.decode(token, options=_UNVERIFIED)
        except jwt.PyJWTError:
            return None
        if claims.get("iss") not in (issuers or self.issuers):
            return None
        named = self._keys.get(jwt.get_unverified_header(token).get("kid", ""))
        for key in (named,) if named is not None else self._keys.values():
            try:
                return jwt.decode(token, key.public, [key.algorithm], options=_SIGNATURE_ONLY)
            except jwt.PyJWTError:
                continue
        raise InvalidToken("invalid signature, no keys found")

    def jwks(self) -> bytes:
        """The JSON Web Key Set (application/jwk-set+json)."""
        return orjson.dumps({"keys": [key.jwk() for key in self._keys.values()]})

    def openid_configuration(self) -> bytes:
        """The discovery document (application/json)."""
        return orjson.dumps(
            {
                "issuer": self.issuer,
                "jwks_uri": self._jwks_uri,
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": sorted({key.algorithm for key in self._keys.values()}),
            }
        )


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _base64url_int(number: int, width: int = 0) -> str:
    return _base64url(number.to_bytes(width or (number.bit_length() + 7) // 8, "big"))
