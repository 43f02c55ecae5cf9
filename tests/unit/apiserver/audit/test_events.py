"""Events of a server's requests: stages, who and what, bodies as far as the policy allows, and the id that the client is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.fakes.server import World, config_map, world

from steersman.api.protobuf import objects
from steersman.apiserver import pipeline
from steersman.apiserver.audit.auditor import Auditor
from steersman.apiserver.audit.settings import AuditSettings
from steersman.apiserver.contracts import AdmissionRequest, RequestInfo, UserInfo
from steersman.apiserver.http import RawConnection, Request, Response
from steersman.apiserver.requestinfo import parse
from steersman.machinery import yamlio
from steersman.machinery.clock import VirtualClock
from steersman.machinery.meta import Obj

MAPS = "/api/v1/namespaces/default/configmaps"
RULES: tuple[Obj, ...] = ({"level": "RequestResponse", "omitManagedFields": True},)


def settings(directory: Path, *rules: Obj, **more: Any) -> AuditSettings:
    path = directory / "policy.yaml"
    path.write_text(yamlio.dump({"kind": "Policy", "apiVersion": "audit.k8s.io/v1", "rules": list(rules or RULES)}))
    return AuditSettings(policy_file=path, log_path=str(directory / "audit.log"), **more)


def events(directory: Path) -> list[Obj]:
    return [orjson.loads(line) for line in (directory / "audit.log").read_bytes().splitlines()]


def run(directory: Path, scenario: Callable[[World], Awaitable[None]], *rules: Obj, **more: Any) -> list[Obj]:
    """What was recorded."""

    async def main() -> None:
        async with world(audit=settings(directory, *rules), **more) as w:
            await scenario(w)

    asyncio.run(asyncio.wait_for(main(), 120))
    return events(directory)


def stages(found: list[Obj]) -> list[str]:
    return [event["stage"] for event in found]


def test_a_creation_is_two_events_of_one_id_with_what_was_sent_and_answered(tmp_path: Path) -> None:
    ids: list[str] = []

    async def scenario(w: World) -> None:
        ids.append((await w.raw("POST", MAPS, config_map(), user_agent="test/1")).headers["audit-id"])

    first, last = run(tmp_path, scenario)
    common = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse",
        "auditID": ids[0],
        "requestURI": MAPS,
        "verb": "create",
        "user": {"username": "alice", "groups": ["system:masters", "system:authenticated"]},
        "sourceIPs": ["::1"],
        "userAgent": "test/1",
        "requestReceivedTimestamp": "2026-01-01T00:00:00.000000Z",
        "stageTimestamp": "2026-01-01T00:00:00.000000Z",
    }
    ref = {"resource": "configmaps", "namespace": "default", "apiVersion": "v1"}
    assert first == common | {"stage": "RequestReceived", "objectRef": ref}
    stored = last.pop("responseObject")
    assert last == common | {
        "stage": "ResponseComplete",
        "objectRef": ref | {"name": "settings"},
        "responseStatus": {"metadata": {}, "code": 201},
        "requestObject": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "default"}},
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    }
    assert stored["metadata"]["uid"] and "managedFields" not in stored["metadata"]


def test_fields_are_in_upstreams_order(tmp_path: Path) -> None:
    async def scenario(w: World) -> None:
        await w.raw("POST", MAPS, config_map())

    run(tmp_path, scenario)
    last = (tmp_path / "audit.log").read_text().splitlines()[-1]
    wanted = (
        "kind apiVersion level auditID stage requestURI verb user sourceIPs objectRef responseStatus requestObject "
        "responseObject requestReceivedTimestamp stageTimestamp annotations"
    )
    assert tuple(orjson.loads(last)) == tuple(wanted.split())


@pytest.mark.parametrize(
    ("level", "has"),
    [("Metadata", set()), ("Request", {"requestObject"}), ("RequestResponse", {"requestObject", "responseObject"})],
)
def test_a_level_says_which_bodies_are_recorded(tmp_path: Path, level: str, has: set[str]) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"key": "hidden"}}

    async def scenario(w: World) -> None:
        await w.raw("POST", "/api/v1/namespaces/default/secrets", secret)
        await w.raw("PATCH", "/api/v1/namespaces/default/secrets/s", {"stringData": {"more": "hidden"}},
                    content_type="application/merge-patch+json")  # fmt: skip

    found = [event for event in run(tmp_path, scenario, {"level": level}) if event["stage"] == "ResponseComplete"]
    for event in found:
        assert {"requestObject", "responseObject"} & event.keys() == has
        assert (event["level"], event["objectRef"]["name"]) == (level, "s")
    text = (tmp_path / "audit.log").read_text()
    assert (("hidden" in text) or ("aGlkZGVu" in text)) is bool(has)


def test_the_first_matching_rule_keeps_secrets_out(tmp_path: Path) -> None:
    rules = ({"level": "Metadata", "resources": [{"group": "", "resources": ["secrets"]}]}, {"level": "RequestResponse"})
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"key": "hidden"}}

    async def scenario(w: World) -> None:
        await w.raw("POST", "/api/v1/namespaces/default/secrets", secret)
        await w.raw("GET", "/api/v1/namespaces/default/secrets")
        await w.raw("POST", MAPS, config_map())

    found = run(tmp_path, scenario, *rules)
    assert [event["level"] for event in found] == ["Metadata"] * 4 + ["RequestResponse"] * 2
    assert "hidden" not in (tmp_path / "audit.log").read_text()


def test_errors_have_their_status_at_every_level(tmp_path: Path) -> None:
    async def scenario(w: World) -> None:
        await w.raw("GET", f"{MAPS}/none?pretty=true")

    event = run(tmp_path, scenario, {"level": "Metadata"})[-1]
    assert event["requestURI"] == f"{MAPS}/none?pretty=true"
    assert event["responseStatus"] == {
        "metadata": {},
        "status": "Failure",
        "message": 'configmaps "none" not found',
        "reason": "NotFound",
        "details": {"name": "none", "kind": "configmaps"},
        "code": 404,
    }


def test_a_refusal_is_recorded_with_its_reason(tmp_path: Path) -> None:
    async def scenario(w: World) -> None:
        assert (await w.raw("POST", MAPS, config_map())).status == 403

    event = run(tmp_path, scenario, denied=lambda info: info.plural == "configmaps")[-1]
    assert event["annotations"]["authorization.k8s.io/decision"] == "forbid"
    assert event["responseStatus"]["reason"] == "Forbidden"
    assert "requestObject" not in event


class Noting:
    """An admission plugin that has something to say to those who read the log."""

    name = "Noting"

    async def admit(self, request: AdmissionRequest) -> None:
        request.audit_annotations["pod-security.kubernetes.io/enforce-policy"] = "baseline:latest"

    async def validate(self, request: AdmissionRequest) -> None: ...


def test_what_admission_notes_is_there_and_that_an_api_is_deprecated(tmp_path: Path) -> None:
    async def scenario(w: World) -> None:
        await w.raw("POST", MAPS, config_map())
        await w.raw("GET", "/api/v1/namespaces/default/endpoints")

    found = [event["annotations"] for event in run(tmp_path, scenario, admission=(Noting(),)) if "annotations" in event]
    assert found[0]["pod-security.kubernetes.io/enforce-policy"] == "baseline:latest"
    assert "k8s.io/deprecated" not in found[0] and found[1]["k8s.io/deprecated"] == "true"


def test_updates_say_which_version_they_are_for(tmp_path: Path) -> None:
    async def scenario(w: World) -> None:
        found = await w.obj("POST", MAPS, config_map())
        await w.raw("PUT", f"{MAPS}/settings", found | {"data": {"a": "b"}})

    event = run(tmp_path, scenario, {"level": "Metadata"})[-1]
    assert event["objectRef"].keys() == {"resource", "namespace", "name", "uid", "apiVersion", "resourceVersion"}
    assert tuple(event["objectRef"])[-1] == "resourceVersion"


def test_groups_and_subresources_are_in_the_reference(tmp_path: Path) -> None:
    async def scenario(w: World) -> None:
        await w.raw("GET", "/apis/apps/v1/namespaces/default/deployments/web/scale")
        await w.raw("GET", "/version")

    found = run(tmp_path, scenario)
    assert found[0]["objectRef"] == {
        "resource": "deployments",
        "namespace": "default",
        "name": "web",
        "apiGroup": "apps",
        "apiVersion": "v1",
        "subresource": "scale",
    }
    assert (found[2]["verb"], found[2]["requestURI"], found[2].get("objectRef")) == ("get", "/version", None)


@pytest.mark.parametrize("form", ["json", "yaml", "protobuf"])
def test_bodies_are_json_whatever_was_sent(tmp_path: Path, form: str) -> None:
    body = {
        "json": (orjson.dumps(config_map()), "application/json"),
        "yaml": (yamlio.dump(config_map()).encode(), "application/yaml"),
        "protobuf": (objects.pack(config_map()) or b"", "application/vnd.kubernetes.protobuf"),
    }[form]
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 5}
    deletion = (objects.pack(options), body[1]) if form == "protobuf" else (orjson.dumps(options), "application/json")

    async def scenario(w: World) -> None:
        assert (await w.raw("POST", MAPS, body[0], content_type=body[1], accept=body[1])).status == 201
        assert (await w.raw("DELETE", f"{MAPS}/settings", deletion[0], content_type=deletion[1])).status == 200

    found = [event for event in run(tmp_path, scenario) if event["stage"] == "ResponseComplete"]
    assert found[0]["requestObject"]["metadata"]["name"] == found[0]["responseObject"]["metadata"]["name"] == "settings"
    assert (found[1]["requestObject"]["kind"], found[1]["requestObject"]["gracePeriodSeconds"]) == ("DeleteOptions", 5)


def test_a_body_that_is_no_object_is_not_recorded(tmp_path: Path) -> None:
    async def scenario(w: World) -> None:
        for body in (b"{", b"\x00\xff", b'{"kind":"Pod"}'):
            assert (await w.raw("POST", MAPS, body)).status == 400

    assert all("requestObject" not in event for event in run(tmp_path, scenario))


def test_lists_and_tables_are_recorded_without_managed_fields(tmp_path: Path) -> None:
    async def scenario(w: World) -> None:
        await w.raw("POST", MAPS, {**config_map(), "data": {"a": "b"}})
        await w.raw("GET", MAPS)
        await w.raw("GET", f"{MAPS}?includeObject=Object", accept="application/json;as=Table;v=v1;g=meta.k8s.io")

    found = [event["responseObject"] for event in run(tmp_path, scenario) if "responseObject" in event]
    assert [obj["kind"] for obj in found] == ["ConfigMap", "ConfigMapList", "Table"]
    assert "managedFields" not in (tmp_path / "audit.log").read_text()


def test_with_managed_fields_they_are_there(tmp_path: Path) -> None:
    async def scenario(w: World) -> None:
        await w.raw("POST", MAPS, {**config_map(), "data": {"a": "b"}})

    assert run(tmp_path, scenario, {"level": "RequestResponse"})[-1]["responseObject"]["metadata"]["managedFields"]


def test_a_watch_starts_and_ends(tmp_path: Path) -> None:
    async def scenario(w: World) -> None:
        async with w.transport.stream("GET", f"{MAPS}?watch=1"):
            assert stages(events(tmp_path)) == ["RequestReceived", "ResponseStarted"]

    found = run(tmp_path, scenario)
    assert stages(found) == ["RequestReceived", "ResponseStarted", "ResponseComplete"]
    assert [event.get("responseStatus", {}).get("code") for event in found] == [None, 200, 200]


def test_stages_that_are_omitted_are_not_there(tmp_path: Path) -> None:
    async def scenario(w: World) -> None:
        async with w.transport.stream("GET", f"{MAPS}?watch=1"):
            pass

    found = run(tmp_path, scenario, {"level": "Metadata", "omitStages": ["RequestReceived", "ResponseStarted"]})
    assert stages(found) == ["ResponseComplete"]


def test_a_bug_is_a_panic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> Response:
        raise RuntimeError("no luck")

    monkeypatch.setattr(pipeline, "dispatch", broken)

    async def scenario(w: World) -> None:
        assert (await w.raw("GET", MAPS)).status == 500

    found = run(tmp_path, scenario)
    assert stages(found) == ["RequestReceived", "Panic"]
    wanted = {"status": "Failure", "message": "APIServer panic'd: no luck", "reason": "InternalError", "code": 500}
    assert found[-1]["responseStatus"] == {"metadata": {}} | wanted


def test_a_request_whose_client_went_away_is_complete_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(w: World) -> None:
        begun = asyncio.Event()

        async def endless(*_: object) -> Response:
            begun.set()
            await asyncio.get_running_loop().create_future()
            raise AssertionError

        monkeypatch.setattr(pipeline, "dispatch", endless)
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(w.raw("GET", MAPS))
            await begun.wait()
            asking.cancel()

    found = run(tmp_path, scenario)
    assert stages(found) == ["RequestReceived", "ResponseComplete"]
    wanted = {"metadata": {}, "status": "Success", "message": "Connection closed early", "code": 200}
    assert found[-1]["responseStatus"] == wanted


def test_ids_of_clients_are_kept_and_ours_differ(tmp_path: Path) -> None:
    answers: list[str] = []

    async def scenario(w: World) -> None:
        for headers in ({"audit_id": "mine"}, {}, {}):
            answers.append((await w.raw("GET", MAPS, **headers)).headers["audit-id"])

    found = run(tmp_path, scenario, {"level": "Metadata", "omitStages": ["RequestReceived"]})
    assert [event["auditID"] for event in found] == answers
    assert answers[0] == "mine" and len(set(answers)) == 3


def test_impersonation_shows_both_users(tmp_path: Path) -> None:
    async def scenario(w: World) -> None:
        await w.raw("GET", MAPS, impersonate_user="bob", impersonate_group="devs")

    first, last = run(tmp_path, scenario)
    assert "impersonatedUser" not in first
    assert last["user"]["username"] == "alice"
    assert last["impersonatedUser"] == {"username": "bob", "groups": ["devs", "system:authenticated"]}


@pytest.mark.parametrize(
    ("headers", "remote", "addresses"),
    [
        ({}, "192.0.2.9", ["192.0.2.9"]),
        ({}, "::ffff:192.0.2.9", ["192.0.2.9"]),
        ({"x-forwarded-for": "198.51.100.1, 198.51.100.2,bad"}, "192.0.2.9", ["198.51.100.1", "198.51.100.2", "192.0.2.9"]),
        ({"x-forwarded-for": "192.0.2.9"}, "192.0.2.9", ["192.0.2.9"]),
        ({"x-real-ip": "198.51.100.1"}, "192.0.2.9", ["198.51.100.1", "192.0.2.9"]),
        ({"x-forwarded-for": "198.51.100.1", "x-real-ip": "198.51.100.1"}, "2001:db8::1", ["198.51.100.1", "2001:db8::1"]),
    ],
)
def test_sources_are_what_proxies_say_and_then_the_connection(
    tmp_path: Path, headers: dict[str, str], remote: str, addresses: list[str]
) -> None:
    begin(tmp_path, Request("GET", MAPS, headers={**headers, "user-agent": "x" * 2000}, remote=remote))
    (event,) = events(tmp_path)
    assert event["sourceIPs"] == addresses
    assert event["userAgent"] == "x" * 1024 + "...TRUNCATED"


def begin(directory: Path, request: Request, info: RequestInfo | None = None) -> Auditor:
    """An auditor that has heard of the request."""
    auditor = Auditor(settings(directory), lambda user, asked: f"RBAC: allowed by {asked.verb}", VirtualClock())
    found = info or parse(request.method, request.path, request.query_pairs)
    request.audit = auditor.begin(request, found, UserInfo("carol", "7", ("g",), {"k": ("v",)}))
    return auditor


def test_users_are_recorded_in_full_and_why_they_may(tmp_path: Path) -> None:
    request = Request("GET", "/api/v1/namespaces/a b/pods", "x=%20y")
    begin(tmp_path, request)
    assert request.audit is not None
    request.audit.impersonates(UserInfo("dave"), "impersonate:user-info")
    request.audit.decided(UserInfo("dave"), RequestInfo("list", ""), True, "")
    request.audit.answered(Response(), long_running=False)
    event = events(tmp_path)[-1]
    assert event["user"] == {"username": "carol", "uid": "7", "groups": ["g"], "extra": {"k": ["v"]}}
    assert event["requestURI"] == "/api/v1/namespaces/a%20b/pods?x=%20y"
    assert event["annotations"]["authorization.k8s.io/reason"] == "RBAC: allowed by list"
    assert event["impersonatedUser"] == {"username": "dave"}
    assert event["authenticationMetadata"] == {"impersonationConstraint": "impersonate:user-info"}


def test_a_session_that_is_taken_over_starts_then_and_ends_with_the_handler(tmp_path: Path) -> None:
    class Raw:
        async def read(self) -> bytes:
            return b""

        async def write(self, data: bytes) -> None: ...

        async def close(self) -> None: ...

    async def take_over() -> RawConnection:
        return Raw()

    request = Request("POST", "/api/v1/namespaces/default/pods/web/exec", "command=ls", take_over=take_over)

    async def scenario() -> None:
        begin(tmp_path, request)
        assert request.take_over is not None and request.audit is not None
        await request.take_over()
        assert stages(events(tmp_path)) == ["RequestReceived", "ResponseStarted"]
        request.audit.answered(Response(upgraded=True), long_running=True)

    asyncio.run(scenario())
    found = events(tmp_path)
    assert stages(found) == ["RequestReceived", "ResponseStarted", "ResponseComplete"]
    assert [event["responseStatus"]["code"] for event in found[1:]] == [101, 101]
    assert found[1]["objectRef"]["subresource"] == "exec" and found[1]["requestURI"].endswith("/exec?command=ls")


def test_what_is_passed_on_to_pods_has_no_bodies(tmp_path: Path) -> None:
    async def read_body() -> bytes:
        return b'{"password":"hidden"}'

    request = Request("POST", "/api/v1/namespaces/default/services/web/proxy/login", read_body=read_body)

    async def scenario() -> None:
        begin(tmp_path, request)
        assert request.read_body is not None and request.audit is not None
        await request.read_body()
        request.audit.answered(Response(200, b'{"kind":"Answer"}'), long_running=True)

    asyncio.run(scenario())
    assert "hidden" not in (tmp_path / "audit.log").read_text()
    assert stages(events(tmp_path)) == ["RequestReceived", "ResponseStarted", "ResponseComplete"]


@pytest.mark.parametrize(
    ("headers", "query", "message"),
    [
        ({}, "", "Authentication failed, no credentials provided"),
        ({"authorization": "Bearer x"}, "", "Authentication failed, attempted: bearer"),
        ({"authorization": "Basic x"}, "access_token=a", "Authentication failed, attempted: basic, access_token"),
    ],
)
def test_who_cannot_be_authenticated_is_recorded_once(tmp_path: Path, headers: dict[str, str], query: str, message: str) -> None:
    auditor = Auditor(settings(tmp_path), lambda user, asked: "", VirtualClock())
    request = Request("GET", MAPS, query, headers)
    auditor.unauthenticated(request)
    assert request.audit is not None
    request.audit.answered(Response(401), long_running=False)
    (event,) = events(tmp_path)
    assert (event["stage"], event["user"], event["auditID"]) == ("ResponseStarted", {}, request.audit.id)
    assert event["responseStatus"] == {"metadata": {}, "message": message, "code": 401}


def test_events_levels_and_losses_are_counted(tmp_path: Path) -> None:
    text: list[str] = []

    async def scenario(w: World) -> None:
        await w.raw("GET", MAPS)
        await w.raw("GET", "/healthz")
        text.append((await w.raw("GET", "/metrics")).body.decode())

    run(tmp_path, scenario, {"level": "None", "nonResourceURLs": ["/healthz", "/metrics"]}, {"level": "Metadata"})
    assert "apiserver_audit_event_total 2.0" in text[0]
    assert 'apiserver_audit_level_total{level="None"} 2.0' in text[0]
    assert 'apiserver_audit_level_total{level="Metadata"} 1.0' in text[0]


def test_without_a_policy_nothing_is_recorded(tmp_path: Path) -> None:
    assert not AuditSettings(log_path=str(tmp_path / "audit.log")).wanted
    assert not AuditSettings(policy_file=tmp_path / "policy.yaml").wanted
