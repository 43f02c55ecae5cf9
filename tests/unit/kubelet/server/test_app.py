"""The kubelet's HTTPS server: who may ask what. Real TLS on loopback, a kubelet on fakes behind it."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

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
async def kubelet(world: World, folder: Path) -> AsyncIterator[str]:
    """The URL of a running kubelet."""
    ca = issue(folder, "ca")
    issue(folder, "node", signer=ca)
    issue(folder, "admin", "system:masters", ca)
    issue(folder, "alice", "devs", ca)
    world.config = dataclasses.replace(
        world.config, address="127.0.0.1", port=0, tls_cert_file=folder / "node.crt",
        tls_private_key_file=folder / "node.key", client_ca_file=folder / "ca.crt",
    )  # fmt: skip
    async with world.kubelet():
        port = world.api.objects["nodes"]["", "n1"]["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
        yield f"https://127.0.0.1:{port}"


async def ask(url: str, folder: Path, user: str, **headers: str) -> tuple[int, str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(folder / "ca.crt")
    if user:
        context.load_cert_chain(folder / f"{user}.crt", folder / f"{user}.key")
    connector = aiohttp.TCPConnector(ssl=context, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session, session.get(url, headers=headers) as answer:
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
            assert (asked[0]["user"], asked[0]["groups"]) == ("alice", ["devs"])

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

    asyncio.run(scenario())
