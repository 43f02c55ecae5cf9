"""Credentials that a server takes when it is told to: static tokens, a front proxy's headers, a webhook's word."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from tests.fakes import certs, httpd
from tests.fakes.listers import FakeListers

from steersman.apiserver.access import RequestHeaderSettings, TokenWebhookSettings
from steersman.apiserver.authn import Authentication, tokenfile
from steersman.apiserver.authn.requestheader import FrontProxy
from steersman.apiserver.authn.tokenfile import StaticTokens
from steersman.apiserver.authn.verified import TokenAuthenticator, Verified
from steersman.apiserver.authn.webhooktokens import WebhookTokens
from steersman.apiserver.config import ConfigError
from steersman.apiserver.contracts import ANONYMOUS, UserInfo
from steersman.apiserver.http import Request
from steersman.apiserver.lookup import Lookup
from steersman.apiserver.tokens import InvalidToken, TokenAuthority
from steersman.client import kubeconfig
from steersman.machinery.clock import VirtualClock
from steersman.machinery.errors import Unauthorized
from steersman.machinery.meta import Obj

US = ("https://us",)
AUTHORITY = TokenAuthority(certs.key_pem(), US[0], US)


# --- static tokens


def test_a_file_of_tokens_names_users_and_their_groups(tmp_path: Path) -> None:
    file = tmp_path / "tokens.csv"
    file.write_text('t1,jane,u1,"devs,ops"\nt2,joe,u2\n\n,nobody,u3\nt2,jim,u4,\n')
    assert tokenfile.load(file) == {"t1": UserInfo("jane", "u1", ("devs", "ops")), "t2": UserInfo("jim", "u4")}


@pytest.mark.parametrize(
    ("text", "why"),
    [("t1,jane\n", "must have at least 3 columns (token, user name, user uid), found 2"), ('t1,"x\n', "unexpected end of data")],
)
def test_a_file_that_is_no_such_file_is_told(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "tokens.csv"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        tokenfile.load(file)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("token", "audiences", "name"), [("t1", US, "jane"), ("t1", ("vault", *US), "jane"), ("t1", ("vault",), ""), ("t2", US, "")]
)
def test_static_tokens_are_for_the_server_itself(token: str, audiences: tuple[str, ...], name: str) -> None:
    tokens = StaticTokens({"t1": UserInfo("jane")}, US)
    found = asyncio.run(tokens.verify(token, audiences))
    assert (found.user.name if found else "", found.audiences if found else US) == (name, US)


# --- front proxy


class Proxied:
    """Two authorities: one signs ordinary clients, the other the front proxy."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.front_ca = directory / "front-ca.crt"
        ca, key = certs.authority(self.front_ca)
        files = certs.signed(directory / "front", "front-proxy-client", ca, key)
        self.proxy = x509.load_pem_x509_certificate(files[0].read_bytes())
        self.front = FrontProxy(RequestHeaderSettings(client_ca_file=self.front_ca, **settings))

    def user(self, headers: dict[str, str], peer: x509.Certificate | None, **repeated: tuple[str, ...]) -> UserInfo | None:
        named = {name.replace("_", "-"): values for name, values in repeated.items()}
        return self.front.user(Request("GET", "/", headers=headers, peer=peer, repeated=named))


def test_the_proxys_headers_are_the_user(tmp_path: Path) -> None:
    world = Proxied(tmp_path, uid_headers=("X-Remote-Uid",))
    headers = {
        "x-remote-user": "jane", "x-remote-uid": "7", "x-remote-group": "a", "x-remote-extra-acme.com%2fteam": "t", "other": "x",
    }  # fmt: skip
    found = world.user(headers, world.proxy, x_remote_group=("a", "b"))
    assert found == UserInfo("jane", "7", ("a", "b"), {"acme.com/team": ("t",)})


def test_without_its_certificate_nobody_is_believed(tmp_path: Path) -> None:
    world = Proxied(tmp_path)
    headers = {"x-remote-user": "jane", "x-remote-group": "system:masters"}
    assert world.user(headers, None) is None
    assert world.user(headers, certs.client_certificate("front-proxy-client")) is None
    assert world.user({"x-remote-group": "a"}, world.proxy) is None


@pytest.mark.parametrize(("names", "taken"), [(("front-proxy-client",), True), (("other",), False), ((), True)])
def test_the_proxys_name_may_be_asked_for(tmp_path: Path, names: tuple[str, ...], taken: bool) -> None:
    world = Proxied(tmp_path, allowed_names=names)
    assert (world.user({"x-remote-user": "jane"}, world.proxy) is not None) == taken


def test_a_certificate_of_the_proxys_authority_is_no_ordinary_client(tmp_path: Path) -> None:
    """Else whoever signs proxies could make masters."""
    world = Proxied(tmp_path)
    # All authorities of these tests have the same key: one that has signed nothing stands for the clients'.
    other = certs.client_certificate("someone")
    authentication = Authentication(
        AUTHORITY, Lookup(FakeListers()), US, VirtualClock(), front=world.front, client_authorities=[other]
    )
    with pytest.raises(Unauthorized):
        asyncio.run(authentication.authenticate(Request("GET", "/", peer=world.proxy)))
    named = Request("GET", "/", peer=world.proxy, headers={"x-remote-user": "jane"})
    assert asyncio.run(authentication.authenticate(named)).groups == ("system:authenticated",)


# --- webhook


async def asked(directory: Path, status: Any, tokens: Sequence[tuple[str, tuple[str, ...]]], **settings: Any) -> Any:
    """What comes of the tokens, and the reviews that the webhook has seen. A number as status: an HTTP error."""

    def respond(_method: str, _path: str, _sent: Any) -> tuple[int, Obj]:
        return (status, {}) if isinstance(status, int) else (200, {"kind": "TokenReview", "status": status})

    clock = VirtualClock()
    found: list[Verified | str | None] = []
    async with httpd.serving(directory, respond) as server:
        file = directory / "webhook.yaml"
        kubeconfig.write(file, kubeconfig.make("webhook", f"{server.url}/review", ca=server.ca.read_bytes(), token="secret"))
        webhook = WebhookTokens(TokenWebhookSettings(config_file=file, **settings), US, clock)

        async def one(token: str, audiences: tuple[str, ...]) -> None:
            try:
                found.append(await webhook.verify(token, audiences))
            except InvalidToken as fault:
                found.append(str(fault))

        for token, audiences in tokens:
            async with asyncio.TaskGroup() as group:
                task = group.create_task(one(token, audiences))
                while not task.done():
                    await asyncio.wait((task,), timeout=0.02)
                    await clock.advance(1, settle_turns=2)
    return found, server.seen


JANE: Obj = {"username": "jane", "uid": "7", "groups": ["a"], "extra": {"k": ["v"]}}


def test_a_webhook_says_whose_a_token_is_and_is_asked_once(tmp_path: Path) -> None:
    found, seen = asyncio.run(asked(tmp_path, {"authenticated": True, "user": JANE}, [("t", US), ("t", US)]))
    assert found == [Verified(UserInfo("jane", "7", ("a",), {"k": ("v",)}), US)] * 2
    review = {"apiVersion": "authentication.k8s.io/v1beta1", "kind": "TokenReview", "spec": {"token": "t", "audiences": list(US)}}
    assert seen == [("POST", "/review", review)]


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        ({"authenticated": False}, None),
        ({"authenticated": False, "error": "no such token"}, "no such token"),
        ({"authenticated": True, "user": JANE, "audiences": ["vault"]}, None),
    ],
)
def test_what_a_webhook_does_not_know_is_remembered_too(tmp_path: Path, status: Obj, answer: str | None) -> None:
    found, seen = asyncio.run(asked(tmp_path, status, [("t", US), ("t", US)], version="v1"))
    assert (found, len(seen), seen[0][2]["apiVersion"]) == ([answer, answer], 1, "authentication.k8s.io/v1")


def test_a_webhook_that_is_ill_is_asked_again_and_its_failure_not_remembered(tmp_path: Path) -> None:
    found, seen = asyncio.run(asked(tmp_path, 500, [("t", US)]))
    assert found[0].endswith("/review: status 500")
    assert len(seen) == 5


# --- all of them


class Says:
    """Implements TokenAuthenticator."""

    def __init__(self, answer: Verified | str | None) -> None:
        self.answer = answer

    async def verify(self, token: str, audiences: tuple[str, ...]) -> Verified | None:
        if isinstance(self.answer, str):
            raise InvalidToken(self.answer)
        return self.answer


def of(*tokens: TokenAuthenticator, **more: Any) -> Authentication:
    return Authentication(AUTHORITY, Lookup(FakeListers()), US, VirtualClock(), tokens=tokens, **more)


def bearer(authentication: Authentication) -> UserInfo:
    return asyncio.run(authentication.authenticate(Request("GET", "/", headers={"authorization": "Bearer t"})))


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ([None, None], "invalid bearer token"),
        ([None, "expired"], "expired"),
        (["expired", "strange"], "[expired, strange]"),
        (["strange", "strange"], "[strange]"),
    ],
)
def test_if_nobody_takes_a_token_all_say_why(answers: list[str | None], text: str) -> None:
    with pytest.raises(InvalidToken) as caught:
        asyncio.run(of(*map(Says, answers)).review("t", US))
    assert str(caught.value) == text


def test_one_who_takes_a_token_is_enough() -> None:
    user = bearer(of(Says("strange"), Says(None), Says(Verified(UserInfo("jane"), US))))
    assert (user.name, user.groups) == ("jane", ("system:authenticated",))


def test_a_remembered_token_is_good_only_while_it_stands() -> None:
    standing = [True]
    known = Says(Verified(UserInfo("jane"), US, stands=lambda: standing[0]))
    authentication = of(known)
    assert bearer(authentication).name == "jane"
    known.answer = "gone"
    assert bearer(authentication).name == "jane"
    standing[0] = False
    with pytest.raises(Unauthorized):
        bearer(authentication)


def test_anonymous_requests_go_where_they_may() -> None:
    authentication = of(anonymous=lambda path: path == "/healthz")
    assert asyncio.run(authentication.authenticate(Request("GET", "/healthz"))) == ANONYMOUS
    with pytest.raises(Unauthorized):
        asyncio.run(authentication.authenticate(Request("GET", "/api")))
