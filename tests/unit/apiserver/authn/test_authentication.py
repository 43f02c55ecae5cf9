"""Who is calling: certificates, tokens and their bound objects, anonymous."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable

import pytest
from tests.fakes.certs import client_certificate, key_pem
from tests.fakes.listers import FakeListers

from steersman.api.resources import NODES, PODS, SECRETS, SERVICE_ACCOUNTS
from steersman.apiserver.authn import Authentication
from steersman.apiserver.contracts import ANONYMOUS, UserInfo
from steersman.apiserver.http import Request
from steersman.apiserver.lookup import Lookup
from steersman.apiserver.tokens import InvalidToken, TokenAuthority
from steersman.machinery.clock import VirtualClock
from steersman.machinery.errors import Unauthorized
from steersman.machinery.meta import Obj

ISSUER = AUDIENCE = "https://kubernetes.default.svc"
AUTHORITY = TokenAuthority(key_pem(), ISSUER, (AUDIENCE,))
NAME = "system:serviceaccount:ns:robot"
GROUPS = ("system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated")

Bound = dict[str, tuple[str, str]]
POD: Bound = {"pod": ("pod", "u-pod")}
NODE: Bound = {"node": ("node", "u-node")}
SECRET: Bound = {"secret": ("secret", "u-secret")}


def obj(name: str, uid: str, namespace: str = "ns", **metadata: str) -> Obj:
    return {"metadata": {"name": name, "namespace": namespace, "uid": uid, **metadata}}


def world() -> FakeListers:
    return FakeListers(
        (SERVICE_ACCOUNTS, obj("robot", "u-sa")),
        (PODS, obj("pod", "u-pod")),
        (SECRETS, obj("secret", "u-secret")),
        (NODES, {"metadata": {"name": "node", "uid": "u-node"}}),
    )


def claims(clock: VirtualClock, *, lasts_s: int = 3600, audience: str = AUDIENCE, bound: Bound | None = None) -> Obj:
    now = int(clock.now().timestamp())
    private: Obj = {"namespace": "ns", "serviceaccount": {"name": "robot", "uid": "u-sa"}}
    private |= {what: {"name": name, "uid": uid} for what, (name, uid) in (bound or {}).items()}
    return {"iss": ISSUER, "aud": [audience], "exp": now + lasts_s, "nbf": now, "iat": now, "jti": "j1", "kubernetes.io": private}


class Setting:
    def __init__(self) -> None:
        self.clock, self.listers = VirtualClock(), world()
        self.authentication = Authentication(AUTHORITY, Lookup(self.listers), (AUDIENCE,), self.clock)

    def user(self, request: Request) -> UserInfo:
        return asyncio.run(self.authentication.authenticate(request))

    def bearer(self, token: str) -> UserInfo:
        return self.user(Request("GET", "/", headers={"authorization": f"Bearer {token}"}))

    def why_not(self, token: str) -> str:
        with pytest.raises(InvalidToken) as caught:
            asyncio.run(self.authentication.review(token, (AUDIENCE,)))
        return str(caught.value)

    def pass_time(self, seconds: float) -> None:
        asyncio.run(self.clock.advance(seconds))


@pytest.mark.parametrize(
    ("headers", "user"),
    [
        ({}, ANONYMOUS),
        ({"authorization": "Basic abc"}, ANONYMOUS),
        ({"authorization": "Bearer "}, ANONYMOUS),
    ],
)
def test_without_credentials_that_we_know_the_caller_is_anonymous(headers: dict[str, str], user: UserInfo) -> None:
    assert Setting().user(Request("GET", "/", headers=headers)) == user


def test_a_certificate_names_user_groups_and_uid_and_goes_before_a_token() -> None:
    peer = client_certificate("jane", "devs", "ops", uid="42")
    user = Setting().user(Request("GET", "/", peer=peer, headers={"authorization": "Bearer nonsense"}))
    assert (user.name, user.groups, user.uid) == ("jane", ("devs", "ops", "system:authenticated"), "42")
    assert user.extra["authentication.kubernetes.io/credential-id"][0].startswith("X509SHA256=")


def test_a_certificate_without_a_name_says_nothing_and_an_expired_one_is_refused() -> None:
    setting = Setting()
    assert setting.user(Request("GET", "/", peer=client_certificate("", "devs"))) == ANONYMOUS
    peer = client_certificate("jane", days=1)
    assert setting.user(Request("GET", "/", peer=peer)).name == "jane"
    setting.pass_time(2 * 86400)
    with pytest.raises(Unauthorized):
        setting.user(Request("GET", "/", peer=peer))


def test_a_bound_token_gives_the_account_its_groups_and_what_it_is_bound_to() -> None:
    setting = Setting()
    token = AUTHORITY.sign(claims(setting.clock, bound=POD | NODE))
    user = setting.bearer(token)
    assert (user.name, user.uid, user.groups) == (NAME, "u-sa", GROUPS)
    prefix = "authentication.kubernetes.io/"
    assert {key.removeprefix(prefix): value for key, (value,) in user.extra.items()} == {
        "credential-id": "JTI=j1", "pod-name": "pod", "pod-uid": "u-pod", "node-name": "node", "node-uid": "u-node",
    }  # fmt: skip


def test_a_browser_sends_its_token_as_a_websocket_subprotocol_beside_a_real_one() -> None:
    setting = Setting()
    encoded = base64.urlsafe_b64encode(AUTHORITY.sign(claims(setting.clock)).encode()).rstrip(b"=").decode()
    offer = f"base64url.bearer.authorization.k8s.io.{encoded}"
    header = "sec-websocket-protocol"
    sent = {header: f"{offer}, v4.channel.k8s.io"}
    request = Request("GET", "/", headers=sent, repeated={header: (f"{offer}, v4.channel.k8s.io", "v5.channel.k8s.io")})
    assert setting.user(request).name == NAME
    # Whom it is passed on to, a pod for instance, does not get the token; the connection's next request has it again.
    assert (request.headers[header], request.repeated) == ("v4.channel.k8s.io, v5.channel.k8s.io", {})
    assert offer in sent[header]
    for alone in (offer, "base64url.bearer.authorization.k8s.io.###, v4.channel.k8s.io"):
        with pytest.raises(Unauthorized):
            setting.user(Request("GET", "/", headers={header: alone}))


def test_a_token_that_nobody_knows_is_unauthorized() -> None:
    with pytest.raises(Unauthorized):
        Setting().bearer("abc")


def _drop_account(setting: Setting) -> None:
    setting.listers(SERVICE_ACCOUNTS).drop("ns", "robot")


def _new_account(setting: Setting) -> None:
    setting.listers(SERVICE_ACCOUNTS).put(obj("robot", "u-new"))


def _drop_pod(setting: Setting) -> None:
    setting.listers(PODS).drop("ns", "pod")


def _new_pod_not_seen_yet(setting: Setting) -> None:
    setting.listers.late.append((PODS, obj("pod", "u-new")))


def _terminate_pod(setting: Setting) -> None:
    setting.listers(PODS).put(obj("pod", "u-pod", deletionTimestamp="2025-12-31T23:58:00Z"))


def _drop_secret(setting: Setting) -> None:
    setting.listers(SECRETS).drop("ns", "secret")


def _drop_node(setting: Setting) -> None:
    setting.listers(NODES).drop("", "node")


INVALIDATED = "service account token has been invalidated"


@pytest.mark.parametrize(
    ("bound", "change", "text"),
    [
        ({}, _drop_account, 'serviceaccounts "robot" not found'),
        ({}, _new_account, "service account UID (u-new) does not match claim (u-sa)"),
        (POD, _drop_pod, INVALIDATED),
        (
            {"pod": ("pod", "u-pod")},
            _new_pod_not_seen_yet,
            "pod UID (u-new) does not match service account pod ref claim (u-pod)",
        ),
        (POD, _terminate_pod, INVALIDATED),
        (SECRET, _drop_secret, INVALIDATED),
        (NODE, _drop_node, INVALIDATED),
    ],
)
def test_a_token_dies_with_its_account_and_with_what_it_is_bound_to(
    bound: Bound, change: Callable[[Setting], None], text: str
) -> None:
    setting = Setting()
    token = AUTHORITY.sign(claims(setting.clock, bound=bound))
    asyncio.run(setting.authentication.review(token, (AUDIENCE,)))
    change(setting)
    assert setting.why_not(token) == text


def test_a_pods_token_outlives_its_node_object() -> None:
    setting = Setting()
    token = AUTHORITY.sign(claims(setting.clock, bound=POD | NODE))
    _drop_node(setting)
    assert setting.bearer(token).name == NAME


def test_a_token_ends_with_its_time_even_when_it_is_remembered() -> None:
    setting = Setting()
    token = AUTHORITY.sign(claims(setting.clock, lasts_s=5))
    assert setting.bearer(token).name == NAME
    setting.pass_time(6)
    with pytest.raises(Unauthorized):
        setting.bearer(token)
    assert setting.why_not(token) == "service account token has expired"


def test_a_remembered_token_is_looked_at_again_after_a_while() -> None:
    setting = Setting()
    token = AUTHORITY.sign(claims(setting.clock))
    assert setting.bearer(token).name == NAME
    _drop_account(setting)
    setting.pass_time(11)
    with pytest.raises(Unauthorized):
        setting.bearer(token)


def test_a_token_for_another_audience_is_refused_here() -> None:
    setting = Setting()
    token = AUTHORITY.sign(claims(setting.clock, audience="vault"))
    with pytest.raises(Unauthorized):
        setting.bearer(token)
    assert setting.why_not(token) == f"token audiences [vault] is invalid for the target audiences [{AUDIENCE}]"
    verified = asyncio.run(setting.authentication.review(token, ("bank", "vault")))
    assert verified.audiences == ("vault",)
