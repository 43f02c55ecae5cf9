"""Bootstrap tokens as text and Secrets, and their signatures."""

from __future__ import annotations

import base64
import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from jwt.warnings import InsecureKeyLengthWarning

from steersman.api import bootstraptokens
from steersman.api.bootstraptokens import BootstrapToken
from steersman.machinery.meta import Obj

SECRET = "0123456789abcdef"
TOKEN = BootstrapToken(
    "abcdef", SECRET, datetime(2026, 1, 2, tzinfo=UTC), groups=("system:bootstrappers:a",), description="for a test"
)


def changed(**data: str) -> Obj:
    secret = bootstraptokens.to_secret(TOKEN)
    secret["data"] |= {key.replace("_", "-"): b64encode(value.encode()).decode() for key, value in data.items()}
    return secret


def test_a_secret_says_all_of_a_token_and_its_repr_nothing_secret() -> None:
    assert bootstraptokens.from_secret(bootstraptokens.to_secret(TOKEN)) == TOKEN
    assert SECRET not in repr(TOKEN)


@pytest.mark.parametrize(
    "secret",
    [
        changed(token_id="fedcba"),
        changed(token_secret="short"),
        changed(auth_extra_groups="system:masters"),
        changed(auth_extra_groups="system:bootstrappers:a,system:nodes"),
        changed() | {"type": "Opaque"},
        changed() | {"metadata": {"name": "bootstrap-token-abcdef", "namespace": "default"}},
    ],
)
def test_a_secret_of_another_sort_or_form_is_no_token(secret: Obj) -> None:
    assert bootstraptokens.from_secret(secret) is None


@pytest.mark.parametrize(
    ("data", "now", "expired"),
    [
        ({}, datetime(2026, 1, 1, tzinfo=UTC), False),
        ({}, datetime(2026, 1, 2, tzinfo=UTC), True),
        ({"expiration": "tomorrow"}, datetime(2026, 1, 1, tzinfo=UTC), True),
        ({"expiration": ""}, datetime(2096, 1, 1, tzinfo=UTC), False),
    ],
)
def test_a_token_ends_at_its_expiration_and_at_once_if_that_cannot_be_read(
    data: dict[str, Any], now: datetime, expired: bool
) -> None:
    token = bootstraptokens.from_secret(changed(**data))
    assert token is not None and token.expired(now) is expired


def test_a_signature_is_a_detached_jws_that_only_the_token_makes() -> None:
    signature = bootstraptokens.sign("content", TOKEN)
    header, nothing, proof = signature.split(".")
    assert nothing == "" and json.loads(base64.urlsafe_b64decode(header + "==")) == {"alg": "HS256", "kid": "abcdef"}
    payload = base64.urlsafe_b64encode(b"content").rstrip(b"=").decode()
    # PyJWT as the oracle, of the same signature attached. A token is shorter than it likes keys to be.
    with pytest.warns(InsecureKeyLengthWarning):
        found = jwt.PyJWS().decode_complete(f"{header}.{payload}.{proof}", SECRET, ["HS256"])
    assert found["payload"] == b"content"
    assert bootstraptokens.verify(signature, "content", "abcdef", SECRET)
    assert not bootstraptokens.verify(signature, "Content", "abcdef", SECRET)
    assert not bootstraptokens.verify(signature, "content", "abcdef", SECRET[::-1])
