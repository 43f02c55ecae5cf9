"""What every request meets: ids, permissions, unknown paths, deadlines, faults, health, metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from tests.fakes.server import World, config_map, world

from steersman.apiserver.contracts import AdmissionRequest
from steersman.store.interface import Unavailable

MAPS = "/api/v1/namespaces/default/configmaps"


def run(scenario: Callable[[World], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        async with world(**settings) as w:
            await scenario(w)

    asyncio.run(main())


def test_every_answer_has_an_audit_id_the_clients_own_if_it_sent_one() -> None:
    async def scenario(w: World) -> None:
        ids = {(await w.raw("GET", "/healthz")).headers["audit-id"] for _ in range(3)}
        assert len(ids) == 3 and all(len(item) == 36 for item in ids)
        mine = await w.raw("GET", MAPS, audit_id="mine")
        assert mine.headers["audit-id"] == "mine" and mine.headers["cache-control"] == "no-cache, private"

    run(scenario)


def test_what_nobody_allows_is_forbidden() -> None:
    async def scenario(w: World) -> None:
        status = await w.obj("GET", f"{MAPS}/a")
        assert (status["code"], status["reason"]) == (403, "Forbidden")
        assert status["message"] == (
            'configmaps "a" is forbidden: User "alice" cannot get resource "configmaps" in API group "" '
            'in the namespace "default"'
        )

    run(scenario, denied=lambda info: info.plural == "configmaps")


@pytest.mark.parametrize(
    ("method", "target", "code", "text"),
    [
        ("GET", "/nowhere", 404, "404 page not found\n"),
        ("GET", "/apis/example.com/v1/things", 404, "404 page not found\n"),
        ("GET", "/apis/apps/v1/things", 404, "the server could not find the requested resource"),
        ("GET", "/api/v1/namespaces/default/pods/web/nothing", 404, "the server could not find the requested resource"),
        ("GET", "/api/v1/pods/web", 404, "the server could not find the requested resource"),
        ("POST", f"{MAPS}/a", 405, "the server does not allow this method on the requested resource"),
        ("DELETE", "/api/v1/namespaces", 405, "the server does not allow this method on the requested resource"),
        ("GET", f"{MAPS}/a%25b", 400, "Name parameter invalid: \"a%b\": may not contain '%'"),
        ("DELETE", f"{MAPS}/a?timeout=abc", 400, 'invalid timeout specified in the request URL - time: invalid duration "abc"'),
        ("GET", "/version?timeout=abc", 400, 'invalid timeout specified in the request URL - time: invalid duration "abc"'),
        ("GET", f"{MAPS}/a?timeout=abc", 400, 'invalid timeout specified in the request URL - time: invalid duration "abc"'),
    ],
)
def test_paths_that_are_none_are_refused(method: str, target: str, code: int, text: str) -> None:
    async def scenario(w: World) -> None:
        answer = await w.raw(method, target, b"{}")
        shown = (
            answer.body.decode() if answer.headers["content-type"].startswith("text/") else orjson.loads(answer.body)["message"]
        )
        assert (answer.status, shown) == (code, text)

    run(scenario)


class Faulty:
    """An admission plugin that fails as a bug would, or waits for ever."""

    name = "Faulty"

    async def admit(self, request: AdmissionRequest) -> None:
        if request.name == "slow":
            await asyncio.get_running_loop().create_future()
        raise ZeroDivisionError("secret detail")

    async def validate(self, request: AdmissionRequest) -> None:
        return None


def test_a_bug_is_a_500_that_tells_nothing_of_it(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(w: World) -> None:
        status = await w.obj("POST", MAPS, config_map())
        assert (status["code"], status["reason"]) == (500, "InternalError")
        assert "secret detail" not in status["message"] and "secret detail" in caplog.text

    run(scenario, admission=[Faulty()])


def test_a_request_that_takes_too_long_times_out() -> None:
    async def scenario(w: World) -> None:
        status = await w.obj("POST", f"{MAPS}?timeout=10ms", config_map("slow"))
        assert (status["code"], status["reason"]) == (504, "Timeout")
        assert status["message"] == "Timeout: request did not complete within the allotted timeout"

    run(scenario, admission=[Faulty()])


def test_a_store_that_is_down_is_said_in_one_sentence_and_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(w: World) -> None:
        async def down(*_: object) -> None:
            raise Unavailable("disk full")

        monkeypatch.setattr(w.store, "commit", down)
        answer = await w.raw("POST", MAPS, config_map())
        status = orjson.loads(answer.body)
        assert (status["code"], status["reason"]) == (500, "ServerTimeout")
        # kubectl would say nothing for twenty seconds, and then this; and the write may be there.
        assert "retry-after" not in {name.lower() for name in answer.headers}
        text = "The create operation against configmaps could not be completed at this time, please try again: disk full"
        assert status["message"] == text
        for number in range(5):
            await w.raw("POST", MAPS, config_map(f"more-{number}"))
        assert [record.getMessage() for record in caplog.records] == ["store unavailable: requests=1 error=disk full"]

    run(scenario)


def test_health_is_told_shortly_and_at_length() -> None:
    async def scenario(w: World) -> None:
        assert (await w.raw("GET", "/readyz")).body == b"ok"
        verbose = (await w.raw("GET", "/livez?verbose&exclude=etcd&exclude=x")).body.decode().splitlines()
        assert verbose[0] == "[+]ping ok" and "[+]etcd excluded: ok" in verbose and verbose[-1] == "livez check passed"
        assert 'warn: some health checks cannot be excluded: no matches for "x"' in verbose
        assert (await w.raw("GET", "/readyz/etcd")).body == b"ok"
        await w.store.close()
        failed = await w.raw("GET", "/readyz")
        assert failed.status == 200 or b"[-]etcd failed: reason withheld" in failed.body

    run(scenario)


def test_requests_are_counted_under_upstreams_names() -> None:
    async def scenario(w: World) -> None:
        await w.raw("POST", MAPS, config_map())
        await w.raw("GET", f"{MAPS}/none")
        text = (await w.raw("GET", "/metrics")).body.decode()
        assert (
            'apiserver_request_total{code="404",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",'
            'subresource="",verb="GET",version="v1"} 1.0'
        ) in text
        assert 'apiserver_request_duration_seconds_count{component="apiserver"' in text
        assert 'apiserver_storage_objects{resource="configmaps"} 1.0' in text
        assert 'apiserver_current_inflight_requests{request_kind="readOnly"} 1.0' in text

    run(scenario)


def test_the_version_says_which_kubernetes_this_is() -> None:
    async def scenario(w: World) -> None:
        found = await w.obj("GET", "/version")
        assert (found["major"], found["minor"]) == ("1", "36") and found["gitVersion"].startswith("v1.36.")

    run(scenario)
