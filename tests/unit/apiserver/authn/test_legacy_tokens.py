"""Tokens in Secrets as credentials: whom they stand for, when they do not, and that their use is noted."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest
from tests.fakes.certs import key_pem
from tests.fakes.client import FakeClient
from tests.fakes.listers import FakeListers

from steersman.api import accounttokens
from steersman.api.resources import SECRETS, SERVICE_ACCOUNTS
from steersman.apiserver.authn import Authentication, own_tokens
from steersman.apiserver.contracts import UserInfo
from steersman.apiserver.http import Request
from steersman.apiserver.lookup import Lookup
from steersman.apiserver.tokens import InvalidToken, TokenAuthority
from steersman.cluster.tokensigning import FileTokenSigner
from steersman.machinery.clock import VirtualClock
from steersman.machinery.errors import Unauthorized
from steersman.machinery.meta import Obj, labels_of

AUDIENCES = ("https://kubernetes.default.svc",)
ACCOUNT: Obj = {"metadata": {"name": "robot", "namespace": "ns", "uid": "u-sa"}}
BARE: Obj = {
    "metadata": {"name": "robot-token", "namespace": "ns", "uid": "u-secret", "annotations": {accounttokens.ACCOUNT: "robot"}}
}


class World:
    def __init__(self, directory: Path, kind: str = "P-256") -> None:
        pem = key_pem(kind)
        (directory / "sa.key").write_bytes(pem)
        self.signer = FileTokenSigner(directory / "sa.key")
        self.token = self.signer.sign(accounttokens.claims(ACCOUNT, BARE))
        self.clock = VirtualClock()
        self.listers = FakeListers((SERVICE_ACCOUNTS, ACCOUNT), (SECRETS, self.secret()))
        self.client = FakeClient()
        authority, lookup = TokenAuthority(pem, AUDIENCES[0], AUDIENCES), Lookup(self.listers)
        tokens = own_tokens(authority, lookup, AUDIENCES, self.clock, self.client)
        self.authentication = Authentication(authority, lookup, AUDIENCES, self.clock, tokens=tokens)

    def secret(self, token: str = "", **metadata: object) -> Obj:
        data = {"token": base64.b64encode((token or self.token).encode()).decode()}
        return {**BARE, "metadata": {**BARE["metadata"], **metadata}, "data": data}

    def user(self, token: str = "") -> UserInfo:
        headers = {"authorization": f"Bearer {token or self.token}"}
        return asyncio.run(self.authentication.authenticate(Request("GET", "/api", headers=headers)))

    def refusal(self, token: str = "", audiences: tuple[str, ...] = AUDIENCES) -> str:
        with pytest.raises(InvalidToken) as refused:
            asyncio.run(self.authentication.review(token or self.token, audiences))
        return str(refused.value)


@pytest.mark.parametrize("kind", ["P-256", "P-384", "RSA"])
def test_the_token_stands_for_its_account(tmp_path: Path, kind: str) -> None:
    world = World(tmp_path, kind)
    user = world.user()
    assert (user.name, user.uid, user.extra) == ("system:serviceaccount:ns:robot", "u-sa", {})
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated")
    assert world.signer.sign(accounttokens.claims(ACCOUNT, BARE)) == world.token


def test_it_is_refused_at_once_when_secret_or_account_are_not_what_they_were(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert world.user().uid == "u-sa"
    world.listers(SECRETS).put(world.secret("another"))
    with pytest.raises(Unauthorized):
        world.user()
    assert world.refusal() == "Token does not match server's copy"
    world.listers(SECRETS).put(world.secret(deletionTimestamp="2026-01-01T00:00:00Z"))
    assert world.refusal() == "Token has been invalidated"
    world.listers(SECRETS).put(world.secret())
    assert world.user().uid == "u-sa"
    world.listers(SERVICE_ACCOUNTS).put({"metadata": {**ACCOUNT["metadata"], "uid": "other"}})
    with pytest.raises(Unauthorized):
        world.user()
    assert world.refusal() == "service account UID (other) does not match claim (u-sa)"
    world.listers(SERVICE_ACCOUNTS).drop("ns", "robot")
    assert world.refusal() == 'serviceaccounts "robot" not found'
    world.listers(SECRETS).drop("ns", "robot-token")
    assert world.refusal() == "Token has been invalidated"


def test_one_that_is_marked_is_refused_and_says_what_helps(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert world.user()
    world.listers(SECRETS).put(world.secret(labels={accounttokens.INVALID_SINCE: "2026-01-01"}))
    with pytest.raises(Unauthorized):
        world.user()
    assert world.refusal() == (
        "the token in secret ns/robot-token for service account ns/robot has been marked invalid. Use tokens from the "
        "TokenRequest API or manually created secret-based tokens, or remove the "
        "'kubernetes.io/legacy-token-invalid-since' label from the secret to temporarily allow use of this token"
    )


def test_it_is_for_the_api_server_only(tmp_path: Path) -> None:
    assert "is invalid for the target audiences" in World(tmp_path).refusal(audiences=("vault",))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"sub": ""}, "sub claim is missing"),
        ({"sub": "system:serviceaccount:ns:admin"}, "sub claim is invalid"),
        ({"kubernetes.io/serviceaccount/secret.name": ""}, "secretName claim is missing"),
        ({"kubernetes.io/serviceaccount/namespace": None}, "namespace claim is missing"),
    ],
)
def test_a_token_says_enough(tmp_path: Path, change: Obj, why: str) -> None:
    world = World(tmp_path)
    assert world.refusal(world.signer.sign({**accounttokens.claims(ACCOUNT, BARE), **change})) == why


def test_another_ones_signature_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    (tmp_path / "other.key").write_bytes(key_pem())
    foreign = FileTokenSigner(tmp_path / "other.key").sign(accounttokens.claims(ACCOUNT, BARE))
    assert world.refusal(foreign) == "invalid signature, no keys found"


def test_a_use_is_noted_once_a_day(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def noted() -> list[str]:
        await world.client.create(SECRETS, world.secret())
        days = []
        for hours in (0, 1, 24):
            await world.clock.advance(hours * 3600.0)
            await world.authentication.review(world.token, AUDIENCES)
            found = await world.client.get(SECRETS, "robot-token", "ns")
            days.append(labels_of(found)[accounttokens.LAST_USED])
            world.listers(SECRETS).put(found)
        return days

    assert asyncio.run(noted()) == ["2026-01-01", "2026-01-01", "2026-01-02"]


def test_who_cannot_note_a_use_refuses_nobody(tmp_path: Path) -> None:
    assert World(tmp_path).user().uid == "u-sa"
