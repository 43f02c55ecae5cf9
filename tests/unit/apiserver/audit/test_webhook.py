"""The webhook backend: batches by number and by time, another try when it fails, and what is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from steersman.apiserver.audit.settings import AuditSettings
from steersman.apiserver.audit.webhook import WebhookSink
from steersman.apiserver.config import ConfigError
from steersman.client.http import HttpTransport
from steersman.client.interface import Answer
from steersman.machinery import yamlio
from steersman.machinery.clock import VirtualClock
from steersman.machinery.meta import Obj


class Server:
    """Answers with the statuses given, 0 for none at all, and 200 after them."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.got: list[tuple[float, str, Obj]] = []
        self.lost: dict[str, int] = {}


def sink_of(
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    server: Server,
    clock: VirtualClock,
    url: str = "http://127.0.0.1:9",
    **more: Any,
) -> WebhookSink:
    async def request(
        self: HttpTransport, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        status = server.statuses.pop(0) if server.statuses else 200
        server.got.append((clock.monotonic(), f"{method} {target}", orjson.loads(body)))
        if not status:
            raise ConnectionError("connection refused")
        return Answer(status, {}, b"")

    monkeypatch.setattr(HttpTransport, "request", request)
    path = directory / "webhook.yaml"
    path.write_text(
        yamlio.dump(
            {
                "kind": "Config",
                "apiVersion": "v1",
                "clusters": [{"name": "c", "cluster": {"server": url}}],
                "contexts": [{"name": "c", "context": {"cluster": "c"}}],
                "current-context": "c",
            }
        )
    )

    def failed(plugin: str, events: int) -> None:
        server.lost[plugin] = server.lost.get(plugin, 0) + events

    return WebhookSink(AuditSettings(policy_file=path, webhook_config_file=path, **more), clock, failed)


def event(number: int) -> bytes:
    return b'{"auditID":"%d"}' % number


def sizes(server: Server) -> list[tuple[float, int]]:
    return [(at, len(body["items"])) for at, _, body in server.got]


def test_events_go_out_in_lists_when_there_are_enough_or_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()

    async def scenario() -> None:
        clock = VirtualClock()
        sink = sink_of(tmp_path, monkeypatch, server, clock, webhook_batch_max_size=3)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(sink.run())
            for number in range(7):
                sink.take(event(number))
            await clock.advance(29)
            assert sizes(server) == [(0, 3), (0, 3)]
            await clock.advance(2)
            running.cancel()
        await sink.close()

    asyncio.run(scenario())
    assert sizes(server) == [(0, 3), (0, 3), (30, 1)]
    _, line, body = server.got[0]
    assert line == "POST /"
    assert body == {
        "kind": "EventList",
        "apiVersion": "audit.k8s.io/v1",
        "metadata": {},
        "items": [{"auditID": "0"}, {"auditID": "1"}, {"auditID": "2"}],
    }


def test_a_batch_is_tried_again_with_growing_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(0, 503, 429)

    async def scenario() -> None:
        clock = VirtualClock()
        sink = sink_of(tmp_path, monkeypatch, server, clock, webhook_batch_max_size=1)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(sink.run())
            sink.take(event(1))
            await clock.advance(60)
            sink.take(event(2))
            await clock.advance(1)
            running.cancel()
        await sink.close()

    asyncio.run(scenario())
    assert [at for at, _, _ in server.got] == [0, 10, 25, 47.5, 60]
    assert server.lost == {}
    assert caplog.text.count("are not taken") == 1 and caplog.text.count("taken again") == 1


@pytest.mark.parametrize(("statuses", "tries"), [((500,) * 5, 5), ((400,), 1)])
def test_what_cannot_be_delivered_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statuses: tuple[int, ...], tries: int
) -> None:
    server = Server(*statuses)

    async def scenario() -> None:
        clock = VirtualClock()
        sink = sink_of(tmp_path, monkeypatch, server, clock, webhook_batch_max_size=2)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(sink.run())
            sink.take(event(1))
            sink.take(event(2))
            await clock.advance(200)
            running.cancel()
        await sink.close()

    asyncio.run(scenario())
    assert (len(server.got), server.lost) == (tries, {"webhook": 2})


def test_at_the_end_what_waits_is_sent_also_what_was_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(0)

    async def scenario() -> None:
        clock = VirtualClock()
        sink = sink_of(tmp_path, monkeypatch, server, clock, webhook_batch_max_size=1)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(sink.run())
            sink.take(event(1))
            await clock.advance(1)
            sink.take(event(2))
            running.cancel()
        await sink.close()

    asyncio.run(scenario())
    assert [body["items"][0]["auditID"] for _, _, body in server.got] == ["1", "1", "2"]
    assert server.lost == {}


def test_the_end_does_not_wait_for_a_server_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(0)

    async def scenario() -> None:
        sink = sink_of(tmp_path, monkeypatch, server, VirtualClock(), webhook_batch_max_size=1)
        sink.take(event(1))
        sink.take(event(2))
        await sink.close()

    asyncio.run(scenario())
    assert (len(server.got), server.lost) == (1, {"webhook": 2})


@pytest.mark.parametrize(
    ("url", "line"),
    [("http://h:1/audit", "POST "), ("http://h:1/audit?key=v", "POST ?key=v"), ("http://h:1/", "POST /")],
)
def test_the_address_is_the_kubeconfigs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, line: str) -> None:
    server = Server()

    async def scenario() -> None:
        sink = sink_of(tmp_path, monkeypatch, server, VirtualClock(), url)
        sink.take(event(1))
        await sink.close()

    asyncio.run(scenario())
    assert server.got[0][1] == line


def test_a_kubeconfig_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    with pytest.raises(ConfigError, match="initializing audit webhook: there is no kubeconfig at"):
        WebhookSink(AuditSettings(policy_file=path, webhook_config_file=path), VirtualClock(), lambda plugin, events: None)
