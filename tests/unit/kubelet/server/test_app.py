"""The kubelet's HTTPS server: who may ask what. Real TLS on loopback, a kubelet on fakes behind it."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.fakes.ports import reserved

from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World

LIFE = (datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), datetime.datetime(2120, 1, 1, tzinfo=datetime.UTC))


def issue(
    folder: Path, name: str, group: str = "", signer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """<name>.crt and <name>.key in the folder; self-signed without a signer."""
    key = ec.generate_private_key(ec.SECP256R1())
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if group:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    subject = x509.Name(parts)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(signer[0].subject if signer else subject)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(LIFE[0]).not_valid_after(LIFE[1])
    builder = builder.add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
    made = builder.sign(signer[1] if signer else key, hashes.SHA256())
    (folder / f"{name}.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made, key


@asynccontextmanager
async def kubelet(world: World, folder: Path, **settings: Any) -> AsyncIterator[str]:
    """The URL of a running kubelet."""
    ca = issue(folder, "ca")
    issue(folder, "node", signer=ca)
    issue(folder, "admin", "system:masters", ca)
    issue(folder, "alice", "devs", ca)
    world.config = dataclasses.replace(
        world.config, address="127.0.0.1", port=0, tls_cert_file=folder / "node.crt",
        tls_private_key_file=folder / "node.key", client_ca_file=folder / "ca.crt", **settings,
    )  # fmt: skip
    async with world.kubelet():
        port = world.api.objects["nodes"]["", "n1"]["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
        yield f"https://127.0.0.1:{port}"


async def ask(url: str, folder: Path, user: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(folder / "ca.crt")
    if user:
        context.load_cert_chain(folder / f"{user}.crt", folder / f"{user}.key")
    connector = aiohttp.TCPConnector(ssl=context, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session, session.request(method, url, headers=headers) as answer:
        return answer.status, await answer.text()


def test_masters_may_all_others_what_the_api_server_says(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Obj] = []

    async def create(resource: Resource, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = "") -> Obj:
        kind = obj.get("kind")
        if kind == "SubjectAccessReview":
            asked.append(obj["spec"])
            return {"status": {"allowed": obj["spec"]["resourceAttributes"]["subresource"] == "metrics"}}
        if kind == "TokenReview":
            known = obj["spec"]["token"] == "good"
            return {"status": {"authenticated": known, "user": {"username": "bot", "groups": ["system:masters"]}}}
        return await plain(resource, obj, namespace, name=name, subresource=subresource)

    plain = world.api.create
    monkeypatch.setattr(world.api, "create", create)

    async def scenario() -> None:
        async with kubelet(world, tmp_path) as url:
            assert await ask(f"{url}/healthz", tmp_path, "admin") == (200, "ok")
            assert (await ask(f"{url}/healthz", tmp_path, ""))[0] == 401
            assert (await ask(f"{url}/healthz", tmp_path, "", Authorization="Bearer bad"))[0] == 401
            assert (await ask(f"{url}/healthz", tmp_path, "", Authorization="Bearer good"))[0] == 200
            assert asked == []
            status, text = await ask(f"{url}/metrics/resource", tmp_path, "alice")
            assert status == 200 and "node_cpu_usage_seconds_total" in text
            for _ in range(2):
                assert (await ask(f"{url}/exec/default/web/app", tmp_path, "alice"))[0] == 403
            assert [each["resourceAttributes"]["subresource"] for each in asked] == ["metrics", "proxy"]
            assert (asked[0]["user"], asked[0]["groups"]) == ("alice", ["devs", "system:authenticated"])

    asyncio.run(scenario())


def test_pods_logs_and_stats_are_served(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with kubelet(world, tmp_path) as url:
            world.create()
            await world.until(lambda: world.api.pod()["status"]["phase"] == "Running")
            Path(world.runtime.named("app").log_path).write_text("2026-01-01T00:00:01Z stdout F hello\n")
            assert await ask(f"{url}/containerLogs/default/web/app", tmp_path, "admin") == (200, "hello\n")
            assert await ask(f"{url}/containerLogs/default/web/none", tmp_path, "admin") == (
                404, 'container "none" not found in pod "web"\n',
            )  # fmt: skip
            assert await ask(f"{url}/containerLogs/default/web/app?previous=true", tmp_path, "admin") == (
                400, 'previous terminated container "app" in pod "web" not found',
            )  # fmt: skip
            assert '"name":"web"' in (await ask(f"{url}/pods", tmp_path, "admin"))[1]
            assert '"podRef":{"name":"web"' in (await ask(f"{url}/stats/summary", tmp_path, "admin"))[1]
            assert (await ask(f"{url}/exec/default/web/app?output=1", tmp_path, "admin"))[0] == 400
            assert await ask(f"{url}/exec/default/web/none?output=1", tmp_path, "admin") == (
                500,
                'container not found ("none")\n',
            )

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("path", "subresources"),
    [
        ("/stats/summary", ["stats"]),
        ("/metrics/cadvisor", ["metrics"]),
        ("/logs/syslog", ["log"]),
        ("/checkpoint/a/b/c", ["checkpoint"]),
        ("/configz", ["configz", "proxy"]),
        ("/healthz/ping", ["healthz", "proxy"]),
        ("/pods", ["pods", "proxy"]),
        ("/runningpods/", ["pods", "proxy"]),
        ("/exec/a/b/c", ["proxy"]),
        ("/podsx", ["proxy"]),
    ],
)
def test_each_path_is_a_subresource_of_the_node(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, subresources: list[str]
) -> None:
    asked: list[str] = []

    async def create(resource: Resource, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = "") -> Obj:
        if obj.get("kind") == "SubjectAccessReview":
            attributes = obj["spec"]["resourceAttributes"]
            assert (attributes["resource"], attributes["name"], attributes["verb"]) == ("nodes", "n1", "create")
            asked.append(attributes["subresource"])
            return {"status": {"allowed": False}}
        return await plain(resource, obj, namespace, name=name, subresource=subresource)

    plain = world.api.create
    monkeypatch.setattr(world.api, "create", create)

    async def scenario() -> None:
        async with kubelet(world, tmp_path) as url:
            status, text = await ask(url + path, tmp_path, "alice", "POST")
            told = f"Forbidden (user=alice, verb=create, resource=nodes, subresource(s)=[{' '.join(subresources)}])\n"
            assert (status, text) == (403, told) and asked == subresources

    asyncio.run(scenario())


def test_who_may_ask_without_credentials_is_the_configurations_to_say(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with kubelet(world, tmp_path, anonymous=True, always_allow=True, token_webhook=False) as url:
            assert await ask(f"{url}/healthz", tmp_path, "") == (200, "ok")
            assert (await ask(f"{url}/pods", tmp_path, "alice"))[0] == 200

    asyncio.run(scenario())


def test_health_is_told_check_by_check(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with kubelet(world, tmp_path) as url:
            for path in ("healthz", "healthz/ping", "healthz/log", "healthz/syncloop"):
                assert await ask(f"{url}/{path}", tmp_path, "admin") == (200, "ok")
            assert (await ask(f"{url}/healthz/mood", tmp_path, "admin"))[0] == 404
            status, text = await ask(f"{url}/healthz?verbose", tmp_path, "admin")
            assert (status, text) == (200, "[+]ping ok\n[+]log ok\n[+]syncloop ok\nhealthz check passed\n")

    asyncio.run(scenario())


def test_a_container_cannot_be_checkpointed(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with kubelet(world, tmp_path) as url:
            world.create()
            await world.until(lambda: world.api.pod()["status"]["phase"] == "Running")
            at = f"{url}/checkpoint/default"
            assert (await ask(f"{at}/web/app", tmp_path, "admin"))[0] == 405
            assert (await ask(f"{at}/none/app", tmp_path, "admin", "POST")) == (404, "pod does not exist\n")
            assert (await ask(f"{at}/web/none", tmp_path, "admin", "POST"))[0] == 404
            status, text = await ask(f"{at}/web/app", tmp_path, "admin", "POST")
            assert status == 500 and "CheckpointContainer not implemented" in text

    asyncio.run(scenario())


def test_what_is_switched_off_is_refused(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with kubelet(world, tmp_path, debugging_handlers=False) as url:
            assert await ask(f"{url}/runningpods/", tmp_path, "admin") == (405, "Debug endpoints are disabled.\n")
            assert await ask(f"{url}/logs/", tmp_path, "admin") == (405, "logs endpoint is disabled.\n")
            assert (await ask(f"{url}/pods", tmp_path, "admin"))[0] == 200

    asyncio.run(scenario())


def test_metrics_tell_of_containers_pods_probes_and_the_kubelet(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with kubelet(world, tmp_path) as url:
            probed = {"name": "app", "image": "busybox:1", "livenessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 1}}
            world.create(containers=[probed])
            await world.until(lambda: world.api.pod()["status"]["phase"] == "Running")
            await world.clock.advance(2.5)
            own = (await ask(f"{url}/metrics", tmp_path, "admin"))[1]
            assert 'kubelet_node_name{node="n1"} 1' in own and "kubelet_running_pods 1" in own
            assert 'kubelet_running_containers{container_state="running"} 1' in own
            probes = (await ask(f"{url}/metrics/probes", tmp_path, "admin"))[1]
            named = 'container="app",namespace="default",pod="web",pod_uid="u1",probe_type="Liveness",result="successful"'
            assert f"prober_probe_total{{{named}}} 3" in probes
            cadvisor = (await ask(f"{url}/metrics/cadvisor", tmp_path, "admin"))[1]
            assert 'container_cpu_usage_seconds_total{container="app",cpu="total",id="/kubepods/podu1/' in cadvisor
            assert 'container_memory_working_set_bytes{container="",id="/kubepods/podu1",' in cadvisor
            assert "machine_memory_bytes " in cadvisor
            assert (await ask(f"{url}/metrics/more", tmp_path, "admin"))[0] == 404

    asyncio.run(scenario())


def test_the_health_port_answers_everybody_and_waits_for_its_port(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        taken = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", port := reserved())
        async with kubelet(world, tmp_path, healthz_port=port):
            taken.close()
            async with aiohttp.ClientSession() as session:

                async def healthy() -> tuple[int, str]:
                    async with session.get(f"http://127.0.0.1:{port}/healthz") as answer:
                        return answer.status, await answer.text()

                await world.clock.advance(6)
                await world.settle()
                assert await healthy() == (200, "ok")
                async with session.get(f"http://127.0.0.1:{port}/pods") as answer:
                    assert answer.status == 404

    asyncio.run(scenario())
