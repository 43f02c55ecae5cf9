"""Tokens of an issuer elsewhere: fetched keys, what is checked, and the user that comes of the claims."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest
from tests.fakes import issuer as fake
from tests.fakes.issuer import Issuer

from steersman.apiserver.access import AuthenticationSettings, OIDCSettings
from steersman.apiserver.authn.oidc import Issuers
from steersman.apiserver.contracts import UserInfo
from steersman.apiserver.tokens import InvalidToken
from steersman.machinery.clock import VirtualClock
from steersman.machinery.meta import Obj

US = ("https://kubernetes.default.svc",)
Test = Callable[[Issuer, VirtualClock], Awaitable[None]]


def run(tmp_path: Path, test: Test) -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        async with fake.serving(tmp_path, clock) as issuer:
            await test(issuer, clock)

    asyncio.run(scenario())


def by_flags(issuer: Issuer, clock: VirtualClock, **flags: Any) -> Issuers:
    settings = OIDCSettings(issuer_url=issuer.url, client_id="k8s", ca_file=issuer.httpd.ca, **flags)
    return Issuers(AuthenticationSettings(oidc=settings), US, US, clock)


def by_file(tmp_path: Path, of: Issuer, clock: VirtualClock, **parts: Any) -> Issuers:
    described: Obj = {
        "issuer": {"url": of.url, "audiences": ["k8s"], "certificateAuthority": of.ca_pem},
        "claimMappings": {"username": {"claim": "sub", "prefix": ""}},
    }
    for key, value in parts.items():
        described[key] = {**described.get(key, {}), **value} if isinstance(value, dict) else value
    document = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": [described]}
    file = tmp_path / "authentication.yaml"
    file.write_bytes(orjson.dumps(document))
    return Issuers(AuthenticationSettings(config_file=file), US, US, clock)


async def user(issuers: Issuers, token: str) -> UserInfo:
    found = await issuers.verify(token, US)
    assert found is not None
    return found.user


async def why_not(issuers: Issuers, token: str) -> str:
    with pytest.raises(InvalidToken) as caught:
        await issuers.verify(token, US)
    return str(caught.value)


def test_by_flags_a_user_is_the_issuers_and_the_subject(tmp_path: Path) -> None:
    async def test(issuer: Issuer, clock: VirtualClock) -> None:
        issuers = by_flags(issuer, clock, groups_claim="groups", groups_prefix="g:")
        found = await user(issuers, issuer.sign(groups=["a", "b"]))
        assert found == UserInfo(f"{issuer.url}#jane", groups=("g:a", "g:b"))
        assert (await user(issuers, issuer.sign(groups="one"))).groups == ("g:one",)
        assert issuer.fetched() == [issuer.discovery, "/keys"]

    run(tmp_path, test)


@pytest.mark.parametrize(
    ("flags", "claims", "name"),
    [
        ({"username_prefix": "-"}, {}, "jane"),
        ({"username_prefix": "x:"}, {}, "x:jane"),
        ({"username_claim": "email"}, {"email": "j@x"}, "j@x"),
        ({"username_claim": "email"}, {"email": "j@x", "email_verified": True}, "j@x"),
        ({"username_prefix": "-", "required_claims": (("hd", "x"),)}, {"hd": "x"}, "jane"),
    ],
)
def test_names_by_flags(tmp_path: Path, flags: Any, claims: Any, name: str) -> None:
    async def test(issuer: Issuer, clock: VirtualClock) -> None:
        assert (await user(by_flags(issuer, clock, **flags), issuer.sign(**claims))).name == name

    run(tmp_path, test)


@pytest.mark.parametrize(
    ("flags", "claims", "text"),
    [
        ({}, {"aud": "other"}, 'oidc: verify token: oidc: expected audience "k8s" got ["other"]'),
        ({"username_claim": "name"}, {}, 'oidc: parse username claims "name": claim not present'),
        ({"username_claim": "email"}, {"email": "j@x", "email_verified": False}, "oidc: email not verified"),
        ({"groups_claim": "groups"}, {"groups": [1]}, 'oidc: parse groups claim "groups": must be a string or a list of strings'),
        ({"required_claims": (("hd", "x"),)}, {}, "oidc: required claim hd not present in ID token"),
        (
            {"required_claims": (("hd", "x"),)}, {"hd": "y"},
            "oidc: required claim hd value does not match. Got = y, want = x",
        ),
        (
            {"signing_algs": ("ES256",)}, {},
            'oidc: verify token: oidc: id token signed with unsupported algorithm, expected ["ES256"] got "RS256"',
        ),
        ({}, {"lasts_s": -1}, "oidc: verify token: oidc: token is expired (Token Expiry: 2025-12-31 23:59:59 +0000 UTC)"),
        (
            {}, {"nbf": 1767225600 + 301},
            "oidc: verify token: oidc: current time 2026-01-01 00:00:00 +0000 UTC before the nbf (not before) time: "
            "2026-01-01 00:05:01 +0000 UTC",
        ),
        ({"username_prefix": "-"}, {"sub": ""}, "oidc: the username is empty"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_token_is_told_in_upstreams_words(tmp_path: Path, flags: Any, claims: Any, text: str) -> None:
    async def test(issuer: Issuer, clock: VirtualClock) -> None:
        assert await why_not(by_flags(issuer, clock, **flags), issuer.sign(**claims)) == text

    run(tmp_path, test)


def test_tokens_of_others_are_nobodys_and_not_asked_about(tmp_path: Path) -> None:
    async def test(issuer: Issuer, clock: VirtualClock) -> None:
        issuers = by_flags(issuer, clock)
        assert await issuers.verify("abc", US) is None
        assert await issuers.verify("a.b.c", US) is None
        assert await issuers.verify(issuer.sign(iss="https://other"), US) is None
        assert await issuers.verify(issuer.sign(), ("vault",)) is None
        assert issuer.fetched() == []

    run(tmp_path, test)


def test_keys_are_fetched_anew_when_the_issuer_signs_with_another_but_not_for_every_forged_token(tmp_path: Path) -> None:
    async def test(issuer: Issuer, clock: VirtualClock) -> None:
        issuers = by_file(tmp_path, issuer, clock)
        assert (await user(issuers, issuer.sign())).name == "jane"
        old = issuer.sign()
        issuer.rotate("ES256")
        await clock.advance(2)
        assert (await user(issuers, issuer.sign())).name == "jane"
        assert issuer.fetched().count("/keys") == 2
        failed = "oidc: verify token: failed to verify signature: failed to verify id token signature"
        forged = jwt.encode(jwt.decode(issuer.sign(), options={"verify_signature": False}), "s" * 32, "HS256")
        for token in (old, old, old):
            assert await why_not(issuers, token) == failed
        assert "unsupported algorithm" in await why_not(issuers, forged)
        assert issuer.fetched().count("/keys") == 2
        await clock.advance(2)
        assert await why_not(issuers, old) == failed
        assert issuer.fetched().count("/keys") == 3

    run(tmp_path, test)


def test_two_keys_at_once_are_both_good(tmp_path: Path) -> None:
    async def test(issuer: Issuer, clock: VirtualClock) -> None:
        first = issuer.sign()
        issuer.add("ES256")
        issuers = by_file(tmp_path, issuer, clock)
        assert (await user(issuers, first)).name == (await user(issuers, issuer.sign())).name == "jane"

    run(tmp_path, test)


def test_an_issuer_that_is_down_is_asked_again_after_a_while(tmp_path: Path) -> None:
    async def test(issuer: Issuer, clock: VirtualClock) -> None:
        issuers = by_flags(issuer, clock)
        issuer.up = False
        for _ in range(3):
            assert await why_not(issuers, issuer.sign()) == "oidc: authenticator not initialized"
        assert issuer.fetched() == [issuer.discovery]
        issuer.up = True
        await clock.advance(11)
        assert (await user(issuers, issuer.sign())).name.endswith("#jane")
        issuer.up = False
        assert (await user(issuers, issuer.sign())).name.endswith("#jane")

    run(tmp_path, test)


def test_an_issuer_that_calls_itself_otherwise_is_not_believed(tmp_path: Path) -> None:
    async def test(issuer: Issuer, clock: VirtualClock) -> None:
        issuer.claimed_url = "https://other"
        assert await why_not(by_flags(issuer, clock), issuer.sign()) == "oidc: authenticator not initialized"

    run(tmp_path, test)


def test_the_configuration_may_be_elsewhere(tmp_path: Path) -> None:
    async def test(issuer: Issuer, clock: VirtualClock) -> None:
        issuer.discovery = "/somewhere/else"
        where = {
            "url": issuer.url, "discoveryURL": f"{issuer.url}/somewhere/else", "audiences": ["x", "k8s"],
            "audienceMatchPolicy": "MatchAny", "certificateAuthority": issuer.ca_pem,
        }  # fmt: skip
        issuers = by_file(tmp_path, issuer, clock, issuer=where)
        assert (await user(issuers, issuer.sign(aud=["y", "x"]))).name == "jane"
        text = 'oidc: verify token: oidc: expected audience in ["x" "k8s"] got ["y"]'
        assert await why_not(issuers, issuer.sign(aud=["y"])) == text

    run(tmp_path, test)


def test_expressions_make_the_user_and_rules_judge_claims_and_user(tmp_path: Path) -> None:
    async def test(issuer: Issuer, clock: VirtualClock) -> None:
        issuers = by_file(
            tmp_path,
            issuer,
            clock,
            claimMappings={
                "username": {"expression": "claims.org.name + ':' + claims.sub"},
                "groups": {"expression": "claims.roles.split(',')"},
                "uid": {"expression": "claims.?oid.orValue('')"},
                "extra": [
                    {"key": "example.com/team", "valueExpression": "claims.teams"},
                    {"key": "example.com/none", "valueExpression": "''"},
                ],
            },
            claimValidationRules=[
                {"claim": "hd", "requiredValue": "x"},
                {"expression": "claims.exp - claims.iat <= 86400", "message": "lives too long"},
            ],
            userValidationRules=[{"expression": "!user.username.startsWith('system:')", "message": "reserved"}],
        )
        claims: Obj = {"org": {"name": "o"}, "roles": "a,b", "oid": "7", "teams": ["t", ""], "hd": "x"}
        found = await user(issuers, issuer.sign(**claims))
        assert found == UserInfo("o:jane", "7", ("a", "b"), {"example.com/team": ("t",)})
        lead = "oidc: error evaluating claim validation expression: validation expression"
        text = f"{lead} 'claims.exp - claims.iat <= 86400' failed: lives too long"
        assert await why_not(issuers, issuer.sign(**claims, lasts_s=90000)) == text
        lead = "oidc: error evaluating user info validation rule: validation expression"
        text = f"{lead} '!user.username.startsWith('system:')' failed: "
        assert await why_not(issuers, issuer.sign(**{**claims, "org": {"name": "system"}})) == text + "reserved"
        lead = "oidc: error evaluating username claim expression: expression"
        text = f"{lead} 'claims.org.name + ':' + claims.sub' resulted in error: no such key: org"
        assert await why_not(issuers, issuer.sign()) == text
        wrong = await why_not(issuers, issuer.sign(**{**claims, "teams": 1}))
        assert wrong.endswith("claims.teams: expression must return a string or a list of strings")

    run(tmp_path, test)


def test_a_file_that_changes_is_taken_up_and_a_wrong_one_is_not(tmp_path: Path) -> None:
    async def test(issuer: Issuer, clock: VirtualClock) -> None:
        issuers = by_file(tmp_path, issuer, clock)
        file = tmp_path / "authentication.yaml"
        assert (await user(issuers, issuer.sign())).name == "jane"
        file.write_text(file.read_text().replace('"prefix":""', '"prefix":"new:"'))
        assert (await user(issuers, issuer.sign())).name == "jane"
        await clock.advance(61)
        assert (await user(issuers, issuer.sign())).name == "new:jane"
        file.write_text("{")
        await clock.advance(61)
        assert (await user(issuers, issuer.sign())).name == "new:jane"

    run(tmp_path, test)
