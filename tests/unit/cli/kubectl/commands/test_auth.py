"""`kubectl auth`, with the server's reviews given."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

import orjson
import pytest
from tests.fakes.server import world
from tests.unit.cli.kubectl.commands.line import Ran, ran

from steersman.client.interface import Answer, StreamAnswer, Transport
from steersman.machinery.meta import Obj

RULES: Obj = {
    "resourceRules": [
        {"verbs": ["get", "list"], "apiGroups": ["apps"], "resources": ["deployments", "deployments/scale"]},
        {"verbs": ["list", "patch"], "apiGroups": ["apps"], "resources": ["deployments"]},
        {"verbs": ["create"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["web"]},
    ],
    "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz"]}],
}
USER = {"username": "alice", "uid": "7", "groups": ["a", "b"], "extra": {"k": ["v"]}}


class Reviewing:
    """Answers the reviews; everything else is the server's. `asked` are their specs."""

    def __init__(self, inner: Transport, allowed: bool) -> None:
        self._inner, self._allowed = inner, allowed
        self.asked: list[Obj] = []

    async def request(self, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
        if "reviews" not in target:
            return await self._inner.request(method, target, headers=headers, body=body)
        review: Obj = orjson.loads(body)
        self.asked.append(review.get("spec") or {})
        statuses: Mapping[str, Obj] = {
            "SelfSubjectAccessReview": {"allowed": self._allowed, "reason": "because"},
            "SelfSubjectRulesReview": RULES,
            "SelfSubjectReview": {"userInfo": USER},
        }
        return Answer(201, {}, orjson.dumps({**review, "metadata": {}, "status": statuses[review["kind"]]}))

    def stream(
        self, method: str, target: str, *, headers: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[StreamAnswer]:
        return self._inner.stream(method, target, headers=headers)

    async def close(self) -> None:
        await self._inner.close()


def run(line: str, *, allowed: bool = True) -> tuple[Ran, list[Obj]]:
    async def scenario() -> tuple[Ran, list[Obj]]:
        async with world() as made:
            reviewing = Reviewing(made.transport, allowed)
            return await ran(f"auth {line}", transport=reviewing), reviewing.asked

    return asyncio.run(scenario())


TOLD = {
    "can-i get pods": (0, "yes\n", ""),
    "can-i get nopes.foo": (0, "yes\n", "Warning: the server doesn't have a resource type 'nopes' in group 'foo'\n\n"),
    "can-i get nodes": (0, "yes\n", "Warning: resource 'nodes' is not namespace scoped\n\n"),
    "can-i get nodes -A": (0, "yes\n", ""),
    "can-i frob pods -q": (0, "", "Warning: verb 'frob' is not a known verb\n\n"),
    "can-i get /healthz --subresource=x": (1, "", "error: --subresource can not be used with NonResourceURL\n"),
    "can-i get": (
        1,
        "",
        "error: you must specify two arguments: verb resource or verb resource/resourceName.\n"
        "See 'kubectl auth can-i -h' for help and examples.\n",
    ),
    "can-i --list x": (1, "", "error: list option must be specified with no arguments\n"),
    "can-i --list": (
        0,
        "Resources                Non-Resource URLs   Resource Names   Verbs\n"
        "pods                     []                  [web]            [create]\n"
        "deployments.apps         []                  []               [get list patch]\n"
        "deployments.apps/scale   []                  []               [get list]\n"
        "                         [/healthz]          []               [get]\n",
        "",
    ),
    "whoami": (0, "ATTRIBUTE   VALUE\nUsername    alice\nUID         7\nGroups      [a b]\nExtra: k    [v]\n", ""),
    "whoami -o jsonpath={.status.userInfo.username}": (0, "alice", ""),
}


@pytest.mark.parametrize("line", TOLD)
def test_what_is_told_is_what_upstream_tells(line: str) -> None:
    assert run(line)[0] == TOLD[line]


def test_a_no_has_its_reason_and_exit_code_one() -> None:
    assert run("can-i get pods", allowed=False)[0] == (1, "no - because\n", "")
    assert run("can-i get pods -q", allowed=False)[0] == (1, "", "")


ASKED = {
    "can-i get pods/web --subresource=log": {
        "resourceAttributes": {"namespace": "default", "verb": "get", "resource": "pods", "name": "web", "subresource": "log"}
    },
    "can-i list deploy -A": {"resourceAttributes": {"verb": "list", "group": "apps", "resource": "deployments"}},
    "can-i '*' '*' -n x": {"resourceAttributes": {"namespace": "x", "verb": "*", "resource": "*"}},
    "can-i get /logs": {"nonResourceAttributes": {"verb": "get", "path": "/logs"}},
}


@pytest.mark.parametrize("line", ASKED)
def test_what_is_asked_of_the_server(line: str) -> None:
    assert run(line)[1] == [ASKED[line]]
