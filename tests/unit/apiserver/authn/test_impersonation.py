"""Impersonation: the constrained ways are tried first, then the legacy one, in which each part must be allowed."""

from __future__ import annotations

import asyncio
import fnmatch

import pytest

from steersman.apiserver.authn.impersonation import Impersonator
from steersman.apiserver.contracts import RequestInfo, UserInfo, Verdict
from steersman.apiserver.http import Request
from steersman.apiserver.requestinfo import parse
from steersman.machinery.errors import BadRequest, Forbidden

ADMIN = UserInfo("admin")
LIST_PODS = parse("GET", "/api/v1/namespaces/ns/pods")
NODE_NAME = "authentication.kubernetes.io/node-name"
LEGACY = ("impersonate *",)
JANE = {"impersonate-user": "jane"}


class Rules:
    """Allows what one of the patterns of `<verb> <resource> <namespace/name>` covers; keeps what was asked, and by whom."""

    def __init__(self, *patterns: str) -> None:
        self.asked: list[str] = []
        self.users: list[UserInfo] = []
        self._patterns = patterns

    async def authorize(self, user: UserInfo, info: RequestInfo) -> tuple[Verdict, str]:
        where = f"{info.namespace}/" if info.namespace else ""
        resource = f"{info.plural}/{info.subresource}" if info.subresource else info.plural
        resource = f"{resource}.{info.group}" if info.group else resource
        text = f"{info.verb} {resource} {where}{info.name}"
        self.asked.append(text)
        self.users.append(user)
        return (Verdict.ALLOW if any(fnmatch.fnmatchcase(text, item) for item in self._patterns) else Verdict.NO_OPINION), ""


def act(headers: dict[str, str], *groups: str, rules: Rules | None = None, caller: UserInfo = ADMIN) -> UserInfo:
    repeated = {"impersonate-group": groups} if len(groups) > 1 else {}
    if groups:
        headers = {**headers, "impersonate-group": groups[0]}
    request = Request("GET", "/", headers=headers, repeated=repeated)
    return asyncio.run(Impersonator(rules or Rules(*LEGACY)).acting(request, LIST_PODS, caller))


def test_without_headers_nothing_is_asked_and_nothing_changes() -> None:
    rules = Rules()
    assert act({"accept": "x"}, rules=rules) is ADMIN
    assert rules.asked == []


def test_the_legacy_way_asks_for_every_part() -> None:
    rules = Rules(*LEGACY)
    user = act({**JANE, "impersonate-uid": "7", "impersonate-extra-a%2Fb": "c"}, "devs", "ops", rules=rules)
    assert user == UserInfo("jane", "7", ("devs", "ops", "system:authenticated"), {"a/b": ("c",)})
    assert rules.asked == [
        "impersonate-on:user-info:list pods ns/", "impersonate users jane", "impersonate uids.authentication.k8s.io 7",
        "impersonate groups devs", "impersonate groups ops", "impersonate userextras/a/b.authentication.k8s.io c",
    ]  # fmt: skip


def test_a_service_account_comes_with_its_groups_unless_others_are_given() -> None:
    account = {"impersonate-user": "system:serviceaccount:ns:robot"}
    implied = ("system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated")
    assert act(account).groups == implied
    assert act(account, "only").groups == ("only", "system:authenticated")


def test_anonymous_stays_unauthenticated() -> None:
    assert act({"impersonate-user": "system:anonymous"}).groups == ("system:unauthenticated",)
    assert act({"impersonate-user": "x"}, "system:unauthenticated").groups == ("system:unauthenticated",)


def test_a_group_without_a_user_is_a_bad_request() -> None:
    with pytest.raises(BadRequest, match="without impersonating a user name"):
        act({}, "devs")


USERS, ON = "authentication.k8s.io", "impersonate-on:user-info:list pods ns/"


@pytest.mark.parametrize(
    ("headers", "groups", "patterns", "user"),
    [
        (JANE, (), (ON, f"impersonate:user-info users.{USERS} jane"), UserInfo("jane", groups=("system:authenticated",))),
        (
            {**JANE, "impersonate-uid": "7", "impersonate-extra-a.io%2Fb": "c"}, ("devs",),
            (ON, f"impersonate:user-info *.{USERS} *"),
            UserInfo("jane", "7", ("devs", "system:authenticated"), {"a.io/b": ("c",)}),
        ),
        (
            {"impersonate-user": "system:node:n1"}, (),
            ("impersonate-on:arbitrary-node:list pods ns/", f"impersonate:arbitrary-node nodes.{USERS} n1"),
            UserInfo("system:node:n1", groups=("system:nodes", "system:authenticated")),
        ),
        (
            {"impersonate-user": "system:serviceaccount:ci:bot"}, (),
            ("impersonate-on:serviceaccount:list pods ns/", f"impersonate:serviceaccount serviceaccounts.{USERS} ci/bot"),
            UserInfo(
                "system:serviceaccount:ci:bot",
                groups=("system:serviceaccounts", "system:serviceaccounts:ci", "system:authenticated"),
            ),
        ),
        (
            JANE, ("a", "b", "c", "d"),
            (ON, f"impersonate:user-info users.{USERS} jane", f"impersonate:user-info groups.{USERS} [*]"),
            UserInfo("jane", groups=("a", "b", "c", "d", "system:authenticated")),
        ),
    ],
)  # fmt: skip
def test_the_constrained_way_asks_who_one_may_be_and_what_one_may_do_as_that(
    headers: dict[str, str], groups: tuple[str, ...], patterns: tuple[str, ...], user: UserInfo
) -> None:
    assert act(headers, *groups, rules=Rules(*patterns)) == user


def test_an_agent_acts_as_the_node_it_runs_on_and_as_no_other() -> None:
    agent = UserInfo("system:serviceaccount:kube-system:agent", extra={NODE_NAME: ("n1",), "other": ("x",)})
    rules = Rules("impersonate-on:associated-node:list pods ns/", f"impersonate:associated-node nodes.{USERS} [*]")
    user = act({"impersonate-user": "system:node:n1"}, rules=rules, caller=agent)
    assert user == UserInfo("system:node:n1", groups=("system:nodes", "system:authenticated"))
    keys = "authentication.kubernetes.io/associated-node-keys"
    assert [asked.extra for asked in rules.users] == [{keys: (NODE_NAME, "other")}] * 2
    with pytest.raises(Forbidden) as caught:
        act({"impersonate-user": "system:node:n2"}, rules=rules, caller=agent)
    assert (
        'cannot impersonate-on:arbitrary-node:list resource "pods" in API group "" in the namespace "ns"' in caught.value.message
    )


@pytest.mark.parametrize(
    ("headers", "groups", "patterns", "text"),
    [
        (
            JANE, (), (),
            'pods is forbidden: User "admin" cannot impersonate-on:user-info:list resource "pods" in API group "" in the '
            'namespace "ns"',
        ),
        (
            JANE, (), (ON,),
            'users.authentication.k8s.io "jane" is forbidden: User "admin" cannot impersonate:user-info resource "users" in API '
            'group "authentication.k8s.io" at the cluster scope',
        ),
        (
            JANE, ("system:masters",), (ON, f"impersonate:user-info *.{USERS} *"),
            'groups.authentication.k8s.io "system:masters" is forbidden: User "admin" cannot impersonate:user-info resource '
            '"groups" in API group "authentication.k8s.io" at the cluster scope: impersonating the system:masters group is not '
            "allowed",
        ),
        (
            {**JANE, "impersonate-extra-scopes": "x"}, (), (ON, f"impersonate:user-info *.{USERS} *"),
            'userextras.authentication.k8s.io is forbidden: User "admin" cannot impersonate:user-info resource "userextras" in '
            'API group "authentication.k8s.io" at the cluster scope: impersonating an invalid key in extra is not allowed: '
            'extra.key: Invalid value: "scopes": must be a domain-prefixed path (such as "acme.io/foo")',
        ),
    ],
)  # fmt: skip
def test_a_refusal_says_what_the_first_way_lacked(
    headers: dict[str, str], groups: tuple[str, ...], patterns: tuple[str, ...], text: str
) -> None:
    with pytest.raises(Forbidden) as caught:
        act(headers, *groups, rules=Rules(*patterns))
    assert caught.value.message == text


def test_the_masters_group_is_taken_on_by_the_legacy_way_only() -> None:
    assert act(JANE, "system:masters", rules=Rules("impersonate*")).groups == ("system:masters", "system:authenticated")


def test_the_way_that_worked_is_tried_first_the_next_time() -> None:
    rules = Rules(*LEGACY)
    impersonator = Impersonator(rules)

    async def scenario() -> None:
        for _ in range(2):
            await impersonator.acting(Request("GET", "/", headers=JANE), LIST_PODS, ADMIN)

    asyncio.run(scenario())
    assert rules.asked == [ON, "impersonate users jane", "impersonate users jane"]
