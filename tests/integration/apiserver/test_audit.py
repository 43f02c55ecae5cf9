"""Audit events over a real connection: a webhook server gets them in an EventList, the last ones when the API server ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
from tests.fakes.server import config_map, world

from steersman.apiserver.audit.settings import AuditSettings
from steersman.machinery import yamlio
from steersman.machinery.meta import Obj

POLICY = "kind: Policy\napiVersion: audit.k8s.io/v1\nomitStages: [RequestReceived]\nrules: [{level: Request}]\n"


def test_a_webhook_gets_what_was_recorded(tmp_path: Path) -> None:
    got: list[tuple[str, Obj]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-length"))
        got.append((head.splitlines()[0], orjson.loads(await reader.readexactly(length))))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def scenario() -> None:
        (tmp_path / "policy.yaml").write_text(POLICY)
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/audit?token=t"
        kubeconfig = {
            "kind": "Config",
            "apiVersion": "v1",
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "contexts": [{"name": "c", "context": {"cluster": "c"}}],
            "current-context": "c",
        }
        (tmp_path / "webhook.yaml").write_text(yamlio.dump(kubeconfig))
        settings = AuditSettings(policy_file=tmp_path / "policy.yaml", webhook_config_file=tmp_path / "webhook.yaml")
        async with server:
            async with world(audit=settings) as w:
                for name in ("a", "b"):
                    await w.raw("POST", "/api/v1/namespaces/default/configmaps", config_map(name))

    asyncio.run(asyncio.wait_for(scenario(), 120))
    ((line, body),) = got
    assert line == "POST /audit?token=t HTTP/1.1"
    assert (body["kind"], body["apiVersion"]) == ("EventList", "audit.k8s.io/v1")
    assert [event["requestObject"]["metadata"]["name"] for event in body["items"]] == ["a", "b"]
    assert all("kind" not in event for event in body["items"])
