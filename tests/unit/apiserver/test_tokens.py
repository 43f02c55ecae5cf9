"""The token key: signing, verifying, and the published half by which others can verify."""

from __future__ import annotations

import base64

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from tests.fakes.certs import key_pem

from steersman.apiserver.tokens import InvalidToken, TokenAuthority

ISSUER = "https://kubernetes.default.svc"
CLAIMS = {"iss": ISSUER, "sub": "system:serviceaccount:a:b", "aud": ["x"], "exp": 1, "nbf": 1, "iat": 1}


@pytest.mark.parametrize(("kind", "algorithm"), [("P-256", "ES256"), ("P-384", "ES384"), ("RSA", "RS256")])
def test_a_token_is_verified_by_us_and_by_anybody_with_the_published_key(kind: str, algorithm: str) -> None:
    authority = TokenAuthority(key_pem(kind), ISSUER, ("x",))
    token = authority.sign(CLAIMS)
    assert authority.verify(token) == CLAIMS
    (key,) = orjson.loads(authority.jwks())["keys"]
    header = jwt.get_unverified_header(token)
    assert (header["alg"], header["kid"], key["alg"], key["use"]) == (algorithm, key["kid"], algorithm, "sig")
    assert len(base64.urlsafe_b64decode(key["kid"] + "=")) == 32
    read = jwt.decode(token, jwt.PyJWK(key), [algorithm], audience="x", options={"verify_exp": False})
    assert read["sub"] == CLAIMS["sub"]


def test_a_token_of_another_issuer_is_not_ours_and_one_of_another_key_is_refused() -> None:
    authority = TokenAuthority(key_pem(), ISSUER, ("x",))
    other = TokenAuthority(key_pem(), ISSUER, ("x",))
    assert authority.verify("abc") is None
    assert authority.verify(other.sign({**CLAIMS, "iss": "elsewhere"})) is None
    with pytest.raises(InvalidToken):
        authority.verify(other.sign(CLAIMS))
    with pytest.raises(InvalidToken):
        authority.verify(authority.sign(CLAIMS)[:-6] + "AAAAAA")
    unsigned = jwt.encode(CLAIMS, "", "none")
    with pytest.raises(InvalidToken):
        authority.verify(unsigned)


def test_discovery_names_issuer_and_keys() -> None:
    authority = TokenAuthority(key_pem(), ISSUER, ("x",), jwks_uri="https://10.0.0.1:6443/openid/v1/jwks")
    assert orjson.loads(authority.openid_configuration()) == {
        "issuer": ISSUER,
        "jwks_uri": "https://10.0.0.1:6443/openid/v1/jwks",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }


def test_keys_of_others_are_trusted_and_published_too() -> None:
    others = [TokenAuthority(key_pem(kind), ISSUER, ("x",)) for kind in ("P-256", "RSA")]
    public = others[1]._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    private = others[0]._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    authority = TokenAuthority(key_pem(), ISSUER, ("x",), trusted=[private, public])
    for signer in (*others, authority):
        assert authority.verify(signer.sign(CLAIMS)) == CLAIMS
    stranger = TokenAuthority(key_pem(), ISSUER, ("x",))
    with pytest.raises(InvalidToken):
        authority.verify(stranger.sign(CLAIMS))
    # Somebody else's token with the name of a key that is trusted.
    with pytest.raises(InvalidToken):
        authority.verify(jwt.encode(CLAIMS, stranger._key, "ES256", headers={"kid": others[0]._key_id}))
    published = orjson.loads(authority.jwks())["keys"]
    assert [key["alg"] for key in published] == ["ES256", "ES256", "RS256"]
    assert orjson.loads(authority.openid_configuration())["id_token_signing_alg_values_supported"] == ["ES256", "RS256"]
