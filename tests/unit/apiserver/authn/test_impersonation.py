"""Impersonation: each part of the other user must be allowed."""

from __future__ import annotations

import asyncio

import pytest

from steersman.apiserver.authn import impersonate
from steersman.apiserver.contracts import RequestInfo, UserInfo, Verdict
from steersman.apiserver.http import Request
from steersman.machinery.errors import BadRequest, Forbidden

ADMIN = UserInfo("admin")


class Recorder:
    """Allows everything but the refused name; keeps what was asked."""

    def __init__(self, refused: str = "") -> None:
        self.asked: list[str] = []
        self._refused = refused

    async def authorize(self, user: UserInfo, info: RequestInfo) -> tuple[Verdict, str]:
        where = f"{info.namespace}/" if info.namespace else ""
        resource = f"{info.plural}/{info.subresource}" if info.subresource else info.plural
        self.asked.append(f"{info.verb} {resource} {where}{info.name}")
        return (Verdict.NO_OPINION if info.name == self._refused else Verdict.ALLOW), ""


def act(headers: dict[str, str], *groups: str, recorder: Recorder | None = None) -> UserInfo:
    repeated = {"impersonate-group": groups} if len(groups) > 1 else {}
    if groups:
        headers = {**headers, "impersonate-group": groups[0]}
    request = Request("GET", "/", headers=headers, repeated=repeated)
    return asyncio.run(impersonate(request, ADMIN, recorder or Recorder()))


def test_without_headers_nothing_is_asked_and_nothing_changes() -> None:
    recorder = Recorder()
    assert act({"accept": "x"}, recorder=recorder) is ADMIN
    assert recorder.asked == []


def test_every_part_is_asked_for() -> None:
    recorder = Recorder()
    user = act(
        {"impersonate-user": "jane", "impersonate-uid": "7", "impersonate-extra-a%2Fb": "c"}, "devs", "ops", recorder=recorder
    )  # fmt: skip
    assert user == UserInfo("jane", "7", ("devs", "ops", "system:authenticated"), {"a/b": ("c",)})
    assert recorder.asked == [
        "impersonate users jane", "impersonate groups devs", "impersonate groups ops", "impersonate userextras/a/b c",
        "impersonate uids 7",
    ]  # fmt: skip


def test_a_service_account_comes_with_its_groups_unless_others_are_given() -> None:
    recorder = Recorder()
    account = {"impersonate-user": "system:serviceaccount:ns:robot"}
    implied = ("system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated")
    assert act(account, recorder=recorder).groups == implied
    assert recorder.asked == ["impersonate serviceaccounts ns/robot"]
    assert act(account, "only").groups == ("only", "system:authenticated")


def test_anonymous_stays_unauthenticated() -> None:
    assert act({"impersonate-user": "system:anonymous"}).groups == ("system:unauthenticated",)
    assert act({"impersonate-user": "x"}, "system:unauthenticated").groups == ("system:unauthenticated",)


def test_a_part_that_may_not_be_taken_on_refuses_the_request() -> None:
    with pytest.raises(Forbidden) as caught:
        act({"impersonate-user": "jane"}, "system:masters", recorder=Recorder("system:masters"))
    text = 'User "admin" cannot impersonate resource "groups" in API group "" at the cluster scope'
    assert caught.value.message == f'groups "system:masters" is forbidden: {text}'


def test_a_group_without_a_user_is_a_bad_request() -> None:
    with pytest.raises(BadRequest, match="without impersonating a user name"):
        act({}, "devs")
