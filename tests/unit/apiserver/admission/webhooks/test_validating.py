"""Validating webhooks: what they are asked, and what becomes of their answers and of their silence."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.fakes.admission import RULE, Hooks, allowed, configuration, denied, run
from tests.fakes.server import World, config_map

from steersman.apiserver import exposition
from steersman.apiserver.admission.webhooks import review
from steersman.client.interface import Answer
from steersman.machinery.meta import Obj

CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
MAPS = "/api/v1/namespaces/default/configmaps"


async def register(w: World, *webhooks: Obj, name: str = "hooks") -> None:
    answer = await w.raw("POST", CONFIGURATIONS, configuration("Validating", name, *webhooks))
    assert answer.status == 201, answer.body
    await w.server.feed.settle()


async def unregister(w: World) -> None:
    assert (await w.raw("DELETE", f"{CONFIGURATIONS}/hooks")).status == 200
    await w.server.feed.settle()


async def refused(answering: Awaitable[Answer], code: int, message: str, **more: Any) -> None:
    answer = await answering
    said = orjson.loads(answer.body)
    assert (answer.status, said["message"]) == (code, message)
    for key, value in more.items():
        assert said.get(key) == value


def test_nobody_is_asked_about_what_no_rule_names(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        await register(w, hooks.hook("/a", lambda _: denied(), rules=[{**RULE, "resources": ["secrets"]}]))
        assert (await w.raw("POST", MAPS, config_map())).status == 201
        assert not hooks.asked

    run(tmp_path, scenario)


def test_the_question_says_all_of_a_request(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        await register(w, hooks.hook("/a", allowed))
        made = await w.obj("POST", f"{MAPS}?fieldManager=me&dryRun=All", config_map())
        assert made["metadata"]["name"] == "settings"
        (review,) = hooks.reviews
        assert (review["kind"], review["apiVersion"]) == ("AdmissionReview", "admission.k8s.io/v1")
        asked = review["request"]
        assert asked.pop("uid")
        obj = asked.pop("object")
        assert (obj["kind"], obj["apiVersion"], obj["metadata"]["namespace"]) == ("ConfigMap", "v1", "default")
        kind = {"group": "", "version": "v1", "kind": "ConfigMap"}
        resource = {"group": "", "version": "v1", "resource": "configmaps"}
        assert asked == {
            "kind": kind,
            "resource": resource,
            "requestKind": kind,
            "requestResource": resource,
            "name": "settings",
            "namespace": "default",
            "operation": "CREATE",
            "userInfo": {"username": "alice", "groups": ["system:masters", "system:authenticated"]},
            "oldObject": None,
            "dryRun": True,
            "options": {
                "kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "dryRun": ["All"], "fieldManager": "me",
            },
        }  # fmt: skip

    run(tmp_path, scenario)


def test_updates_and_deletions_show_what_was(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        await register(w, hooks.hook("/a", allowed))
        await w.raw("POST", MAPS, config_map())
        await w.raw("PATCH", f"{MAPS}/settings", {"data": {"a": "b"}}, content_type="application/merge-patch+json")
        await w.raw("DELETE", f"{MAPS}/settings", {"gracePeriodSeconds": 0, "propagationPolicy": "Background"})
        create, update, delete = hooks.asked["/a"]
        assert [it["operation"] for it in (create, update, delete)] == ["CREATE", "UPDATE", "DELETE"]
        assert (update["oldObject"].get("data"), update["object"]["data"]) == (None, {"a": "b"})
        assert update["options"]["kind"] == "UpdateOptions"
        assert (delete["object"], delete["oldObject"]["data"]) == (None, {"a": "b"})
        options = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
        assert delete["options"] == {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1", **options}

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("response", "code", "message"),
    [
        (denied("no"), 400, 'admission webhook "a.example.com" denied the request: no'),
        (denied("no", code=403), 403, 'admission webhook "a.example.com" denied the request: no'),
        (denied("no", code=200), 400, 'admission webhook "a.example.com" denied the request: no'),
        (denied(reason="Sunday"), 400, 'admission webhook "a.example.com" denied the request: Sunday'),
        ({"allowed": False}, 400, 'admission webhook "a.example.com" denied the request without explanation'),
        (
            {"allowed": True, "uid": "x"},
            500,
            None,
        ),
        (
            {"allowed": True, "patchType": "JSONPatch"},
            500,
            'Internal error occurred: failed calling webhook "a.example.com": received invalid webhook response: '
            "validating webhook may not return response.patchType",
        ),
    ],
)
def test_a_refusal_is_told_in_its_words(tmp_path: Path, response: Obj, code: int, message: str | None) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        await register(w, hooks.hook("/a", lambda _: response))
        answer = await w.raw("POST", MAPS, config_map())
        said = orjson.loads(answer.body)["message"]
        if message is None:
            lead = 'Internal error occurred: failed calling webhook "a.example.com": received invalid webhook response: '
            assert said.startswith(f'{lead}expected response.uid="') and said.endswith('", got "x"')
        else:
            assert said == message
        assert answer.status == code
        assert (await w.raw("GET", f"{MAPS}/settings")).status == 404

    run(tmp_path, scenario)


def test_the_first_refusal_of_several_is_told_and_all_are_asked(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        both = asyncio.Barrier(2)

        def waiting(response: Obj) -> Callable[[Obj], Awaitable[Obj]]:
            async def answer(_: Obj) -> Obj:
                await both.wait()  # only if they are asked at once does anybody come through
                return response

            return answer

        first = hooks.hook("/a", waiting({"allowed": True, "warnings": ["beware"]}))
        await register(w, first, hooks.hook("/b", waiting(denied("b says no"))))
        message = 'admission webhook "b.example.com" denied the request: b says no'
        await refused(w.raw("POST", MAPS, config_map()), 400, message)

    run(tmp_path, scenario)


def test_a_webhook_that_fails_is_ignored_or_not_as_it_says(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        gone = {"url": "https://127.0.0.1:1/x"}
        await register(w, hooks.hook("/a", allowed, clientConfig=gone, failurePolicy="Ignore"))
        assert (await w.raw("POST", MAPS, config_map())).status == 201
        await unregister(w)
        await register(w, hooks.hook("/a", allowed, clientConfig=gone))
        why = 'failed calling webhook "a.example.com": failed to call webhook: Post "https://127.0.0.1:1/x?timeout=30s": '
        why += "dial tcp 127.0.0.1:1: connect: connection refused"
        answering = w.raw("POST", MAPS, config_map("other"))
        await refused(answering, 500, f"Internal error occurred: {why}", reason="InternalError")

    run(tmp_path, scenario)


def test_a_dry_run_is_not_told_to_a_webhook_with_effects(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        await register(w, hooks.hook("/a", allowed, sideEffects="NoneOnDryRun"))
        assert (await w.raw("POST", f"{MAPS}?dryRun=All", config_map())).status == 201
        assert hooks.asked["/a"][0]["dryRun"] is True

    run(tmp_path, scenario)


def test_warnings_come_with_the_answer(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        await register(w, hooks.hook("/a", lambda _: {"allowed": True, "warnings": ["beware"]}))
        answer = await w.raw("POST", MAPS, config_map())
        assert answer.headers["warning"] == '299 - "beware"'

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("condition", "asked"),
    [
        ("object.metadata.name == 'settings'", True),
        ("object.metadata.name != 'settings'", False),
        ("request.userInfo.username == 'alice' && oldObject == null", True),
        ("authorizer.group('').resource('pods').check('get').allowed()", True),
    ],
)
def test_match_conditions_say_whether_it_is_asked(tmp_path: Path, condition: str, asked: bool) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        hook = hooks.hook("/a", allowed, matchConditions=[{"name": "it", "expression": condition}])
        await register(w, hook)
        assert (await w.raw("POST", MAPS, config_map())).status == 201
        assert bool(hooks.asked) is asked

    run(tmp_path, scenario)


def test_a_match_condition_without_a_value_refuses_or_is_ignored(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        wrong = [{"name": "it", "expression": "object.nothing == 'x'"}]
        await register(w, hooks.hook("/a", allowed, matchConditions=wrong, failurePolicy="Ignore"))
        assert (await w.raw("POST", MAPS, config_map())).status == 201
        await unregister(w)
        await register(w, hooks.hook("/a", allowed, matchConditions=wrong))
        message = "configmaps \"b\" is forbidden: expression 'object.nothing == 'x'' resulted in error: no such key: nothing"
        await refused(w.raw("POST", MAPS, config_map("b")), 403, message)
        assert not hooks.asked

    run(tmp_path, scenario)


def test_the_configuration_of_admission_is_nobodys_business(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        everything = [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}]
        await register(w, hooks.hook("/a", lambda _: denied("nothing goes"), rules=everything))
        assert (await w.raw("POST", MAPS, config_map())).status == 400
        await register(w, hooks.hook("/b", allowed), name="another")
        await unregister(w)
        assert (await w.raw("POST", MAPS, config_map())).status == 201

    run(tmp_path, scenario)


def test_what_webhooks_do_is_counted(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        await register(w, hooks.hook("/a", lambda _: denied("no", code=403)))
        await w.raw("POST", MAPS, config_map())
        text = exposition.render(w.server.metrics).decode()
        labels = 'name="a.example.com",operation="CREATE"'
        assert f'apiserver_admission_webhook_request_total{{code="403",{labels},rejected="true",type="validating"}} 1.0' in text
        rejected = 'error_type="no_error",' + labels + ',rejection_code="403",type="validating"'
        assert f"apiserver_admission_webhook_rejection_count{{{rejected}}} 1.0" in text

    run(tmp_path, scenario)


def test_questions_share_a_connection_until_it_is_closed(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        await register(w, hooks.hook("/a", allowed))
        for number in range(3):
            assert (await w.raw("POST", MAPS, config_map(f"a{number}"))).status == 201
        (connection,) = hooks.connections
        assert connection.transport is not None
        connection.transport.close()
        assert (await w.raw("POST", MAPS, config_map("b"))).status == 201
        assert len(hooks.asked["/a"]) == 4

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    "response",
    [
        None,
        "yes",
        {"allowed": True, "warnings": "beware"},
        {"allowed": True, "auditAnnotations": ["a"]},
        {"allowed": False, "status": "no"},
        {"allowed": True, "patch": 7},
        {"allowed": True, "patch": "?"},
        {"allowed": True, "patch": "e30="},
    ],
)
def test_nonsense_is_no_answer(response: Any) -> None:
    asked = review.question("v1", "u", {}, None, None)
    said = {"uid": "u", **response} if isinstance(response, dict) else response
    answer = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": said}
    with pytest.raises(review.BadAnswer):
        review.read(asked, answer, mutating=False)
    for other in (7, {}, {**answer, "kind": "Review"}):
        with pytest.raises(review.BadAnswer):
            review.read(asked, other, mutating=True)


def test_an_older_review_need_not_say_what_it_answers() -> None:
    """v1beta1."""
    assert review.version_for(["v2", "v1beta1", "v1"]) == "v1beta1"
    asked = review.question("v1beta1", "u", {}, None, None)
    assert review.read(asked, {"response": {"allowed": True, "patch": "W10K"}}, mutating=True).patch == b"[]\n"
    with pytest.raises(review.BadAnswer, match="absent"):
        review.read(asked, {}, mutating=True)
    with pytest.raises(review.BadAnswer, match="does not accept known"):
        review.version_for(["v2"])
