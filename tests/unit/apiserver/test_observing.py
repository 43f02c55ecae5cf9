"""What a server tells of itself: metrics under upstream's names, how its checks go, a line per request, what it is doing."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from tests.fakes.server import World, config_map, world

from steersman.apiserver import httplog
from steersman.apiserver.contracts import AdmissionRequest
from steersman.apiserver.serving import ServingSettings
from steersman.machinery import verbosity
from steersman.machinery.errors import Forbidden
from steersman.store.interface import Unavailable

MAPS = "/api/v1/namespaces/default/configmaps"


class Picky:
    """Refuses what is named so; lets time pass for what is named slow."""

    name = "Picky"
    world: World

    async def admit(self, request: AdmissionRequest) -> None:
        if request.name == "slow":
            await self.world.clock.sleep(0.7)

    async def validate(self, request: AdmissionRequest) -> None:
        if request.name == "refused":
            raise Forbidden("no")


def run(scenario: Callable[[World], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        picky = Picky()
        async with world(admission=[picky], **settings) as w:
            picky.world = w
            await scenario(w)

    asyncio.run(main())


async def samples(w: World) -> dict[str, float]:
    """`name{label="value",...}` -> value."""
    lines = (await w.raw("GET", "/metrics")).body.decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}


def named(found: dict[str, float], name: str, /, **labels: str) -> float:
    """The sum of the samples that have these labels."""
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    return sum(
        value
        for sample, value in found.items()
        if re.match(rf"{name}[{{ ]|{name}$", sample) and all(it in sample for it in wanted)
    )


@pytest.mark.parametrize(
    ("method", "target", "labels"),
    [
        ("GET", f"{MAPS}/there", {"verb": "GET", "scope": "resource", "resource": "configmaps", "code": "200", "version": "v1"}),
        ("GET", MAPS, {"verb": "LIST", "scope": "namespace", "code": "200"}),
        ("GET", "/api/v1/configmaps", {"verb": "LIST", "scope": "cluster", "code": "200"}),
        ("PUT", f"{MAPS}/there", {"verb": "PUT", "code": "200"}),
        ("POST", f"{MAPS}?dryRun=All", {"verb": "POST", "dry_run": "All", "scope": "resource", "code": "409"}),
        ("DELETE", f"{MAPS}/none", {"verb": "DELETE", "code": "404"}),
        ("DELETE", f"{MAPS}?labelSelector=a%3Db", {"verb": "DELETECOLLECTION", "code": "200"}),
        ("GET", "/healthz", {"verb": "GET", "subresource": "/healthz", "component": "", "code": "200"}),
        ("BREW", "/nowhere/at/all", {"verb": "other", "resource": "", "subresource": "", "code": "404"}),
        ("GET", "/apis/example.com/v1/things/x", {"verb": "GET", "resource": "", "group": "", "code": "404"}),
    ],
)  # fmt: skip
def test_requests_are_counted_by_what_they_are(method: str, target: str, labels: dict[str, str]) -> None:
    async def scenario(w: World) -> None:
        await w.raw("POST", MAPS, config_map("there"))
        before = await samples(w)
        await w.raw(method, target, config_map("there") if method in ("POST", "PUT") else None)
        after = await samples(w)
        assert named(after, "apiserver_request_total", **labels) == named(before, "apiserver_request_total", **labels) + 1
        timed = {key: value for key, value in labels.items() if key != "code"}
        for name in ("apiserver_request_duration_seconds_count", "apiserver_request_sli_duration_seconds_count"):
            shown = timed if "sli" not in name else {key: value for key, value in timed.items() if key != "dry_run"}
            assert named(after, name, **shown) >= named(before, name, **shown) + 1

    run(scenario)


def test_whatever_clients_ask_for_the_server_does_not_remember_it() -> None:
    async def scenario(w: World) -> None:
        for number in range(50):
            await w.raw("GET", f"/apis/g{number}.example.com/v1/things")
            await w.raw("GET", f"{MAPS}/a/sub{number}")
            await w.raw(f"M{number}", f"/nowhere/{number}")
        assert len(w.server.metrics.series) < 10

    run(scenario)


def test_no_sample_is_told_twice() -> None:
    async def scenario(w: World) -> None:
        for target in (f"{MAPS}/a", "/api/v1/configmaps/a", f"{MAPS}/a?dryRun=All", "/healthz", "/livez"):
            for method in ("GET", "PUT", "BREW"):
                await w.raw(method, target, config_map("a"))
        lines = (await w.raw("GET", "/metrics")).body.decode().splitlines()
        names = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
        assert len(names) == len(set(names))

    run(scenario)


def test_an_apply_is_told_from_other_patches() -> None:
    async def scenario(w: World) -> None:
        await w.raw("PATCH", f"{MAPS}/a?fieldManager=me", config_map("a"), content_type="application/apply-patch+yaml")
        await w.raw("PATCH", f"{MAPS}/a", {"data": {"a": "b"}}, content_type="application/merge-patch+json")
        found = await samples(w)
        assert named(found, "apiserver_request_total", verb="APPLY", resource="configmaps") == 1
        assert named(found, "apiserver_request_total", verb="PATCH", resource="configmaps") == 1

    run(scenario)


def test_writes_watches_admission_and_access_are_counted() -> None:
    async def scenario(w: World) -> None:
        await w.raw("POST", MAPS, config_map("there"))
        await w.raw("POST", MAPS, config_map("refused"))
        await w.raw("DELETE", f"{MAPS}/there")
        async with w.transport.stream("GET", f"{MAPS}?watch=1") as watch:
            chunks = watch.chunks()
            await w.raw("POST", MAPS, config_map("seen"))
            await anext(chunks)
            during = await samples(w)
        after = await samples(w)
        maps = {"resource": "configmaps"}
        assert named(during, "apiserver_longrunning_requests", verb="WATCH", **maps) == 1
        assert named(after, "apiserver_longrunning_requests", verb="WATCH", **maps) == 0
        assert named(after, "apiserver_watch_events_total", version="v1", **maps) == 1
        assert named(after, "apiserver_resource_objects", group="", **maps) == 1
        assert named(after, "etcd_request_duration_seconds_count", operation="create", **maps) == 2
        assert named(after, "etcd_requests_total", operation="delete", **maps) == 1
        refused = {"name": "Picky", "operation": "CREATE", "type": "validate"}
        each = "apiserver_admission_controller_admission_duration_seconds_count"
        assert named(after, each, rejected="true", **refused) == 1 and named(after, each, rejected="false", **refused) == 2
        step = "apiserver_admission_step_admission_duration_seconds_count"
        assert named(after, step, operation="CREATE", type="admit", rejected="false") == 3
        assert named(after, step, operation="CREATE", type="validate", rejected="true") == 1
        assert named(after, "authentication_attempts", result="success") >= 5
        assert named(after, "authorization_attempts_total", result="allowed") >= 5
        assert named(after, "apiserver_response_sizes_count", verb="GET", subresource="/metrics") == 1
        for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "kubernetes_build_info"):
            assert named(after, name) > 0

    run(scenario)


def test_deprecated_apis_that_are_asked_for_are_told() -> None:
    async def scenario(w: World) -> None:
        await w.raw("GET", "/api/v1/namespaces/default/endpoints")
        found = await samples(w)
        assert named(found, "apiserver_requested_deprecated_apis", resource="endpoints", version="v1", removed_release="") == 1
        assert named(found, "apiserver_requested_deprecated_apis", resource="configmaps") == 0

    run(scenario)


def test_checks_are_told_one_by_one_and_how_they_went_is_kept() -> None:
    async def scenario(w: World) -> None:
        verbose = (await w.raw("GET", "/readyz?verbose")).body.decode().splitlines()
        assert verbose[:5] == ["[+]ping ok", "[+]log ok", "[+]etcd ok", "[+]etcd-readiness ok", "[+]informer-sync ok"]
        assert "[+]poststarthook/rbac/bootstrap-roles ok" in verbose and verbose[-2:] == ["[+]shutdown ok", "readyz check passed"]
        one = await w.raw("GET", "/livez/etcd")
        assert (one.status, one.body, one.headers["content-type"]) == (200, b"ok", "text/plain; charset=utf-8")
        assert (await w.raw("GET", "/livez/shutdown")).status == 404
        assert (await w.raw("GET", "/livez/poststarthook/bootstrap-controller")).body == b"ok"
        text = (await w.raw("GET", "/metrics/slis")).body.decode()
        assert 'kubernetes_healthcheck{name="etcd",type="readyz"} 1\n' in text
        assert 'kubernetes_healthchecks_total{name="etcd",status="success",type="livez"} 1\n' in text
        for endpoint in ("healthz", "livez", "readyz"):
            said = (await w.raw("GET", f"/{endpoint}?verbose=1")).body.decode().splitlines()
            for name in ("start-kube-aggregator-informers", "kube-apiserver-autoregistration", "apiservice-openapi-controller"):
                assert f"[+]poststarthook/{name} ok" in said
            assert "[+]autoregister-completion ok" in said

    run(scenario)


def test_a_check_that_fails_withholds_its_reason_and_may_be_excluded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(w: World) -> None:
        async def down() -> int:
            raise Unavailable("connection refused")

        monkeypatch.setattr(w.store, "progress", down)
        failed = await w.raw("GET", "/readyz")
        assert failed.status == 500 and failed.body.endswith(b"\nreadyz check failed\n")
        assert b"[-]etcd failed: reason withheld\n" in failed.body and b"refused" not in failed.body
        excluded = await w.raw("GET", "/readyz?exclude=etcd&exclude=etcd-readiness&exclude=nothing&verbose")
        assert excluded.status == 200 and b"[+]etcd excluded: ok\n" in excluded.body
        assert b'warn: some health checks cannot be excluded: no matches for "nothing"\n' in excluded.body
        assert (await w.raw("GET", "/readyz/etcd")).body == b"internal server error: connection refused\n"
        text = (await w.raw("GET", "/metrics/slis")).body.decode()
        assert 'kubernetes_healthcheck{name="etcd",type="readyz"} 0\n' in text

    run(scenario)


@pytest.fixture
def quiet() -> Iterator[None]:
    """Logging is left as it was."""
    root, before = logging.getLogger(), verbosity.level
    level = root.level
    yield
    verbosity.apply(before)
    root.setLevel(level)


def test_requests_get_a_line_each_when_somebody_wants_it(quiet: None, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(w: World) -> None:
        await w.raw("GET", MAPS)
        told = await w.raw("PUT", "/debug/flags/v", b"3")
        assert (told.status, told.body) == (200, b"successfully set klog.logging.verbosity to 3\n")
        await w.raw("GET", f'{MAPS}?labelSelector=a"%0a', user_agent='tester "x"\n', audit_id="mine")
        await w.raw("PUT", "/debug/flags/v", b"2")
        await w.raw("GET", MAPS)
        assert (await w.raw("PUT", "/debug/flags/v", b"much")).status == 400
        assert (await w.raw("GET", "/debug/flags/v")).status == 405

    verbosity.apply(2)
    run(scenario)
    lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith("HTTP ")]
    assert len(lines) == 2 and lines[0].startswith('HTTP verb="PUT" URI="/debug/flags/v" latency="')
    form = r'HTTP verb="LIST" URI="(.*)" latency="\d+\.\d{3}ms" userAgent="(.*)" audit-ID="mine" srcIP="in-process" resp=(\d+)'
    found = re.fullmatch(form, lines[1])
    assert found is not None
    assert found.groups() == (f'{MAPS}?labelSelector=a\\"%0a', 'tester \\"x\\"\\n', "400")


def test_a_request_that_takes_long_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, httplog.__name__)

    async def scenario(w: World) -> None:
        await w.raw("POST", MAPS, config_map("fast"))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(w.raw("POST", MAPS, config_map("slow")))
            await w.clock.advance(1.0)

    run(scenario)
    (line,) = (record.getMessage() for record in caplog.records if record.name == httplog.__name__)
    assert re.fullmatch(rf'slow request: verb="CREATE" URI="{MAPS}" ms=\d+ queued_ms=0 audit-ID=".*" resp=201', line)


def test_the_process_tells_what_it_is_doing() -> None:
    async def scenario(w: World) -> None:
        index = (await w.raw("GET", "/debug/pprof/")).body.decode()
        assert all(page in index for page in ("goroutine", "heap", "profile", "cmdline"))
        tasks = (await w.raw("GET", "/debug/pprof/goroutine?debug=2")).body.decode()
        assert "Feed.run" in tasks and "thread MainThread" in tasks
        assert b" dict\n" in (await w.raw("GET", "/debug/pprof/heap")).body
        assert b"py" in (await w.raw("GET", "/debug/pprof/cmdline")).body
        async with asyncio.TaskGroup() as group:
            taking = group.create_task(w.raw("GET", "/debug/pprof/profile?seconds=2"))
            while not taking.done():
                await w.clock.advance(0.5)
        for line in taking.result().body.decode().splitlines():
            assert re.fullmatch(r"[^ ]+;[^ ]+ \d+", line)
        assert (await w.raw("GET", "/debug/pprof/profile?seconds=x")).status == 400
        assert "/debug/pprof" not in (await w.obj("GET", "/"))["paths"]

    run(scenario)


def test_who_may_not_see_such_pages_does_not() -> None:
    async def scenario(w: World) -> None:
        for path in ("/metrics", "/debug/pprof/", "/debug/flags/v", "/debug/api_priority_and_fairness/dump_queues"):
            assert (await w.raw("GET", path)).status == 403

    run(scenario, denied=lambda info: not info.is_resource)


def test_without_profiling_there_are_none() -> None:
    async def scenario(w: World) -> None:
        assert (await w.raw("GET", "/debug/pprof/")).status == 404
        assert (await w.raw("PUT", "/debug/flags/v", b"9")).status == 404

    run(scenario, serving=ServingSettings(profiling=False))
