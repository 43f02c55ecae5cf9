"""Authorizers by flags and by file: their order, webhooks and when they are asked, what a refusal says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.fakes import httpd
from tests.fakes.httpd import Httpd
from tests.fakes.listers import FakeListers

from steersman.api.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES
from steersman.apiserver import authz
from steersman.apiserver.access import AuthorizationSettings
from steersman.apiserver.authz import configuration
from steersman.apiserver.authz.webhook import review_spec
from steersman.apiserver.config import ConfigError
from steersman.apiserver.contracts import UserInfo, Verdict
from steersman.apiserver.requestinfo import parse
from steersman.client import kubeconfig
from steersman.machinery.clock import VirtualClock
from steersman.machinery.errors import InternalError
from steersman.machinery.meta import Obj

JANE = UserInfo("jane", groups=("devs",))
GET_PODS = parse("GET", "/api/v1/namespaces/ns/pods", [("fieldSelector", "spec.nodeName=n1"), ("labelSelector", "a in (b,c),!d")])
LISTERS = FakeListers(
    (CLUSTER_ROLES, {"metadata": {"name": "r"}, "rules": [{"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]}]}),
    (
        CLUSTER_ROLE_BINDINGS,
        {
            "metadata": {"name": "b"},
            "roleRef": {"kind": "ClusterRole", "name": "r"},
            "subjects": [{"kind": "Group", "name": "devs"}],
        },
    ),
)


def of(*modes: str, listers: FakeListers = LISTERS, **more: Any) -> authz.Authorization:
    return authz.build(listers, VirtualClock(), AuthorizationSettings(modes=modes, **more))


@pytest.mark.parametrize(
    ("modes", "user", "answer"),
    [
        (("RBAC",), JANE, (Verdict.ALLOW, "")),
        (("RBAC",), UserInfo("joe"), (Verdict.NO_OPINION, "")),
        (("AlwaysAllow",), UserInfo("joe"), (Verdict.ALLOW, "")),
        (("AlwaysDeny",), JANE, (Verdict.NO_OPINION, "Everything is forbidden.")),
        (("AlwaysDeny", "RBAC"), JANE, (Verdict.ALLOW, "")),
        (("AlwaysDeny",), UserInfo("root", groups=("system:masters",)), (Verdict.ALLOW, "")),
        (("RBAC", "AlwaysAllow"), UserInfo("joe"), (Verdict.ALLOW, "")),
    ],
)
def test_modes_are_asked_in_order(modes: tuple[str, ...], user: UserInfo, answer: tuple[Verdict, str]) -> None:
    assert asyncio.run(of(*modes).authorize(user, GET_PODS)) == answer


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"modes": ()}, "at least one authorization-mode must be passed"),
        ({"modes": ("ABCD",)}, 'authorization-mode "ABCD" is not a valid mode'),
        ({"modes": ("RBAC", "RBAC")}, 'authorization-mode ["RBAC", "RBAC"] has mode specified more than once'),
        ({"modes": ("Webhook",)}, "authorization-mode Webhook's authorization config file not passed"),
        (
            {"modes": ("RBAC",), "webhook_config_file": Path("/x")},
            "cannot specify --authorization-webhook-config-file without mode Webhook",
        ),
        (
            {"modes": ("RBAC",), "config_file": Path("/x")},
            "--authorization-config can not be specified when --authorization-mode or --authorization-webhook-* flags are",
        ),
    ],
)
def test_flags_that_cannot_be_are_told(settings: Any, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configuration.load(AuthorizationSettings(**settings))
    assert str(caught.value) == text


# --- webhooks

Answers = Callable[[Obj], Any]


def run(directory: Path, answers: Answers, test: Callable[[Httpd, Path, VirtualClock], Awaitable[None]]) -> None:
    """answers: from a review's spec to its status, or to an HTTP status."""

    def respond(_method: str, _path: str, sent: Any) -> tuple[int, Any]:
        found = answers(sent["spec"])
        return (found, {}) if isinstance(found, int) else (200, {**sent, "status": found})

    async def scenario() -> None:
        async with httpd.serving(directory, respond) as server:
            file = directory / "webhook.yaml"
            kubeconfig.write(file, kubeconfig.make("webhook", server.url, ca=server.ca.read_bytes(), token="x"))
            await test(server, file, VirtualClock())

    asyncio.run(scenario())


async def ask(authorization: authz.Authorization, clock: VirtualClock, user: UserInfo = JANE) -> tuple[Verdict, str] | str:
    """The answer, or what went wrong. Pauses between tries pass by themselves."""
    found: list[tuple[Verdict, str] | str] = []

    async def one() -> None:
        try:
            found.append(await authorization.authorize(user, GET_PODS))
        except InternalError as fault:
            found.append(fault.message)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(one())
        while not task.done():
            await asyncio.wait((task,), timeout=0.02)
            await clock.advance(0.5, settle_turns=2)
    return found[0]


@pytest.mark.parametrize(
    ("status", "modes", "answer"),
    [
        ({"allowed": True}, ("Webhook", "RBAC"), (Verdict.ALLOW, "")),
        ({"allowed": False}, ("Webhook", "RBAC"), (Verdict.ALLOW, "")),
        ({"allowed": False, "denied": True, "reason": "no"}, ("Webhook", "RBAC"), (Verdict.DENY, "no")),
        ({"allowed": False, "denied": True, "reason": "no"}, ("RBAC", "Webhook"), (Verdict.ALLOW, "")),
        ({"allowed": False, "reason": "who?"}, ("Webhook",), (Verdict.NO_OPINION, "who?")),
        (500, ("Webhook", "RBAC"), (Verdict.ALLOW, "")),
    ],
)
def test_a_webhook_allows_denies_or_has_no_opinion(tmp_path: Path, status: Any, modes: tuple[str, ...], answer: Any) -> None:
    async def test(server: Httpd, file: Path, clock: VirtualClock) -> None:
        settings = AuthorizationSettings(modes=modes, webhook_config_file=file, webhook_version="v1")
        assert await ask(authz.build(LISTERS, clock, settings), clock) == answer

    run(tmp_path, lambda _spec: status, test)


def test_if_nobody_else_allows_it_a_webhook_that_cannot_be_asked_is_an_error(tmp_path: Path) -> None:
    async def test(server: Httpd, file: Path, clock: VirtualClock) -> None:
        settings = AuthorizationSettings(modes=("Webhook", "RBAC"), webhook_config_file=file)
        authorization = authz.build(LISTERS, clock, settings)
        assert await ask(authorization, clock, UserInfo("joe")) == f"Internal error occurred: {server.url}: status 503"

    run(tmp_path, lambda _spec: 503, test)


def test_answers_are_remembered_yes_for_longer_than_no(tmp_path: Path) -> None:
    async def test(server: Httpd, file: Path, clock: VirtualClock) -> None:
        settings = AuthorizationSettings(modes=("Webhook",), webhook_config_file=file)
        authorization = authz.build(LISTERS, clock, settings)
        joe = UserInfo("joe")
        for _ in range(2):
            await ask(authorization, clock)
            await ask(authorization, clock, joe)
        assert len(server.seen) == 2
        await clock.advance(31)
        await ask(authorization, clock)
        await ask(authorization, clock, joe)
        assert [sent["spec"]["user"] for _, _, sent in server.seen] == ["jane", "joe", "joe"]

    run(tmp_path, lambda spec: {"allowed": spec["user"] == "jane"}, test)


def test_a_webhook_sees_the_whole_question() -> None:
    user = UserInfo("jane", "7", ("devs",), {"k": ("v",)})
    assert review_spec(user, GET_PODS) == {
        "user": "jane", "uid": "7", "groups": ["devs"], "extra": {"k": ["v"]},
        "resourceAttributes": {
            "namespace": "ns", "verb": "list", "version": "v1", "resource": "pods",
            "fieldSelector": {"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["n1"]}]},
            "labelSelector": {
                "requirements": [{"key": "a", "operator": "In", "values": ["b", "c"]}, {"key": "d", "operator": "DoesNotExist"}]
            },
        },
    }  # fmt: skip
    assert review_spec(UserInfo("joe"), parse("GET", "/healthz")) == {
        "user": "joe", "nonResourceAttributes": {"path": "/healthz", "verb": "get"},
    }  # fmt: skip


def test_the_older_version_calls_groups_otherwise(tmp_path: Path) -> None:
    async def test(server: Httpd, file: Path, clock: VirtualClock) -> None:
        settings = AuthorizationSettings(modes=("Webhook",), webhook_config_file=file)
        await ask(authz.build(LISTERS, clock, settings), clock)
        assert server.seen[0][2]["apiVersion"] == "authorization.k8s.io/v1beta1"
        assert server.seen[0][2]["spec"]["group"] == ["devs"]

    run(tmp_path, lambda _spec: {"allowed": True}, test)


# --- by file


def webhook(file: Path, **changes: Any) -> Obj:
    found = {
        "timeout": "3s",
        "authorizedTTL": "30s",
        "unauthorizedTTL": "30s",
        "subjectAccessReviewVersion": "v1",
        "matchConditionSubjectAccessReviewVersion": "v1",
        "failurePolicy": "NoOpinion",
        "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": str(file)},
        **changes,
    }
    return {"type": "Webhook", "name": "hook", "webhook": {key: value for key, value in found.items() if value is not None}}


def by_file(directory: Path, *authorizers: Obj) -> AuthorizationSettings:
    document = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthorizationConfiguration",
        "authorizers": list(authorizers),
    }
    file = directory / "authorization.yaml"
    file.write_bytes(orjson.dumps(document))
    return AuthorizationSettings(config_file=file)


@pytest.mark.parametrize(
    ("conditions", "policy", "answer", "asked"),
    [
        (["request.user == 'jane'", "has(request.resourceAttributes)"], "NoOpinion", (Verdict.DENY, ""), 1),
        (["request.user == 'joe'"], "NoOpinion", (Verdict.ALLOW, ""), 0),
        (["'devs' in request.groups && request.resourceAttributes.namespace == 'ns'"], "NoOpinion", (Verdict.DENY, ""), 1),
        (
            ["request.resourceAttributes.subresource == '' && request.uid == '' && size(request.extra) == 0"],
            "Deny",
            (Verdict.DENY, ""),
            1,
        ),
        (["request.resourceAttributes.fieldSelector.requirements[0].values[0] == 'n1'"], "NoOpinion", (Verdict.DENY, ""), 1),
        (["request.nonResourceAttributes.path == '/'"], "NoOpinion", (Verdict.ALLOW, ""), 0),
        (
            ["request.nonResourceAttributes.path == '/'"],
            "Deny",
            (
                Verdict.DENY,
                "cel evaluation error: expression 'request.nonResourceAttributes.path == '/'' resulted in error: "
                "no such key: nonResourceAttributes",
            ),
            0,
        ),
        (["request.nonResourceAttributes.path == '/'", "false"], "Deny", (Verdict.ALLOW, ""), 0),
    ],
)
def test_a_webhook_is_asked_only_if_its_conditions_hold(
    tmp_path: Path, conditions: Sequence[str], policy: str, answer: tuple[Verdict, str], asked: int
) -> None:
    async def test(server: Httpd, file: Path, clock: VirtualClock) -> None:
        hook = webhook(file, matchConditions=[{"expression": item} for item in conditions], failurePolicy=policy)
        settings = by_file(tmp_path, hook, {"type": "RBAC", "name": "rbac"})
        found = await ask(authz.build(LISTERS, clock, settings), clock)
        assert (found, len(server.seen)) == (answer, asked)

    run(tmp_path, lambda _spec: {"denied": True}, test)


AT = "authorizers[0].webhook"


@pytest.mark.parametrize(
    ("authorizers", "text"),
    [
        ([], "authorizers: Required value: at least one authorization mode must be defined"),
        ([{"name": "x"}], "authorizers[0].type: Required value"),
        (
            [{"type": "X", "name": "x"}],
            'authorizers[0].type: Unsupported value: "X": supported values: "AlwaysAllow", "AlwaysDeny", "Node", "RBAC", '
            '"Webhook"',
        ),
        ([{"type": "RBAC", "name": "a"}, {"type": "RBAC", "name": "b"}], 'authorizers[1].type: Duplicate value: "RBAC"'),
        ([{"type": "RBAC", "name": "a"}, {"type": "Node", "name": "a"}], 'authorizers[1].name: Duplicate value: "a"'),
        ([{"type": "RBAC"}], "authorizers[0].name: Required value"),
        ([{"type": "Webhook", "name": "a"}], f"{AT}: Required value: required when type=Webhook"),
        (
            [{"type": "RBAC", "name": "a", "webhook": {}}],
            f'{AT}: Invalid value: "non-null": may only be specified when type=Webhook',
        ),
        ([webhook(Path(__file__), timeout="31s")], f'{AT}.timeout: Invalid value: "31s": must be > 0s and <= 30s'),
        ([webhook(Path(__file__), timeout=None)], f"{AT}.timeout: Required value"),
        ([webhook(Path(__file__), authorizedTTL="-1s")], f'{AT}.authorizedTTL: Invalid value: "-1s": must be > 0s'),
        (
            [webhook(Path(__file__), subjectAccessReviewVersion="v2")],
            f'{AT}.subjectAccessReviewVersion: Unsupported value: "v2": supported values: "v1", "v1beta1"',
        ),
        ([webhook(Path(__file__), failurePolicy=None)], f"{AT}.failurePolicy: Required value"),
        (
            [webhook(Path(__file__), connectionInfo={"type": "KubeConfigFile", "kubeConfigFile": "x"})],
            f'{AT}.connectionInfo.kubeConfigFile: Invalid value: "x": must be an absolute path',
        ),
        (
            [webhook(Path(__file__), matchConditions=[{"expression": "1"}])],
            f'{AT}.matchConditions[0].expression: Invalid value: "1": must evaluate to bool',
        ),
        ([webhook(Path(__file__), other=1)], 'strict decoding error: unknown field "authorizers[0].webhook.other"'),
    ],
)
def test_a_file_that_cannot_be_is_told(tmp_path: Path, authorizers: Sequence[Obj], text: str) -> None:
    settings = by_file(tmp_path, *authorizers)
    with pytest.raises(ConfigError) as caught:
        configuration.load(settings)
    assert str(caught.value) == f"{settings.config_file}: {text}"


# --- which rules a user has


@pytest.mark.parametrize(
    ("modes", "user", "verbs", "faults", "incomplete"),
    [
        (("RBAC",), JANE, [["list"]], [], False),
        (("Node", "RBAC"), UserInfo("system:node:n1", groups=("system:nodes",)), [],
         ["node authorizer does not support user rule resolution"], True),
        (("AlwaysAllow",), UserInfo("joe"), [["*"], ["*"]], [], False),
    ],
)  # fmt: skip
def test_rules_are_told_as_far_as_authorizers_can(
    modes: tuple[str, ...], user: UserInfo, verbs: list[list[str]], faults: list[str], incomplete: bool
) -> None:
    sources, told, partly = of(*modes).listed(user, "ns")
    assert ([rule["verbs"] for rule in sources], told, partly) == (verbs, faults, incomplete)


def test_a_webhooks_rules_cannot_be_told(tmp_path: Path) -> None:
    async def test(server: Httpd, file: Path, clock: VirtualClock) -> None:
        settings = AuthorizationSettings(modes=("RBAC", "Webhook"), webhook_config_file=file)
        _, told, incomplete = authz.build(LISTERS, clock, settings).listed(JANE, "ns")
        assert (told, incomplete) == (["webhook authorizer does not support user rule resolution"], True)

    run(tmp_path, lambda _spec: {}, test)


def test_a_file_is_taken_up_when_it_changes_if_it_can_be_used(tmp_path: Path) -> None:
    clock = VirtualClock()
    authorization = authz.build(LISTERS, clock, by_file(tmp_path, {"type": "RBAC", "name": "rbac"}))
    joe = UserInfo("joe")

    def allowed(after_s: float) -> bool:
        async def scenario() -> bool:
            await clock.advance(after_s)
            return (await authorization.authorize(joe, GET_PODS))[0] is Verdict.ALLOW

        return asyncio.run(scenario())

    assert not allowed(0)
    by_file(tmp_path, {"type": "RBAC", "name": "rbac"}, {"type": "AlwaysAllow", "name": "all"})
    assert not allowed(59)
    assert allowed(1)
    assert authorization.listed(joe, "ns")[0][0] == {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    by_file(tmp_path, {"type": "Unheard", "name": "all"})
    assert allowed(60)
    by_file(tmp_path, {"type": "RBAC", "name": "rbac"})
    assert not allowed(60)
