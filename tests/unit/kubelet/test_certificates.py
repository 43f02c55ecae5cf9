"""When a node asks for new certificates: in virtual time, over the days of their lives."""

from __future__ import annotations

import asyncio
import random
from base64 import b64decode, b64encode
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from steersman.api.resources import CERTIFICATE_SIGNING_REQUESTS
from steersman.kubelet.certificates import CLIENT_SIGNER, Pair, Rotation, ensure_self_signed, obtain
from steersman.machinery.errors import Forbidden
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World

DAYS = 20
LIFE = timedelta(days=DAYS)
KEY = ec.generate_private_key(ec.SECP256R1())
CA = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])


def signing(world: World, monkeypatch: pytest.MonkeyPatch) -> list[Obj]:
    """Have the API sign every request at once; the requests."""
    asked: list[Obj] = []

    async def create(resource: Resource, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = "") -> Obj:
        assert resource == CERTIFICATE_SIGNING_REQUESTS
        world.api._answer()
        asked.append(obj)
        request = x509.load_pem_x509_csr(b64decode(obj["spec"]["request"]))
        now = world.clock.now()
        builder = x509.CertificateBuilder().subject_name(request.subject).issuer_name(CA).public_key(request.public_key())
        builder = builder.serial_number(len(asked)).not_valid_before(now).not_valid_after(now + LIFE)
        made = builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        return world.api.put(
            "certificatesigningrequests",
            {"metadata": {"name": f"csr-{len(asked)}"}, "status": {"certificate": b64encode(made).decode()}},
        )

    monkeypatch.setattr(world.api, "create", create)
    return asked


def test_a_certificate_is_replaced_late_in_its_life_but_before_its_end_again_and_again(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = signing(world, monkeypatch)

    async def scenario() -> None:
        rotation = Rotation(world.api, world.clock, random.Random(3), tmp_path, "n1")
        await obtain(world.api, world.clock, rotation.client_file, CLIENT_SIGNER, "n1")
        changes: list[float] = []
        async with asyncio.TaskGroup() as group:
            task = group.create_task(rotation.keep_client(lambda: changes.append(world.clock.monotonic())))
            for _ in range(3 * DAYS):
                await world.clock.advance(86400)
                assert Pair(rotation.client_file).usable(world.clock.now())
            task.cancel()
        days = [(later - sooner) / 86400 for sooner, later in zip([0.0, *changes], changes, strict=False)]
        assert len(days) in (3, 4) and all(0.7 * DAYS - 1 <= each <= 0.9 * DAYS + 1 for each in days)
        assert len(asked) == 1 + len(days) and Pair(rotation.client_file).certificate.serial_number == len(asked)

    asyncio.run(scenario())


def test_a_server_that_is_away_when_the_time_comes_is_asked_until_it_is_back(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = signing(world, monkeypatch)

    async def scenario() -> None:
        rotation = Rotation(world.api, world.clock, random.Random(3), tmp_path, "n1")
        await obtain(world.api, world.clock, rotation.client_file, CLIENT_SIGNER, "n1")
        async with asyncio.TaskGroup() as group:
            task = group.create_task(rotation.keep_client(lambda: None))
            world.api.away = True
            await world.clock.advance(0.9 * DAYS * 86400)
            assert len(asked) == 1
            world.api.away = False
            await world.clock.advance(301)
            await world.settle()
            assert len(asked) == 2
            task.cancel()

    asyncio.run(scenario())


def test_a_refusal_is_not_the_end(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = signing(world, monkeypatch)

    async def scenario() -> None:
        rotation = Rotation(world.api, world.clock, random.Random(3), tmp_path, "n1")
        await obtain(world.api, world.clock, rotation.client_file, CLIENT_SIGNER, "n1")
        sign = world.api.create

        async def refuse(*_: object, **__: object) -> Obj:
            raise Forbidden.of("", "certificatesigningrequests", "csr", "not now")

        monkeypatch.setattr(world.api, "create", refuse)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(rotation.keep_client(lambda: None))
            await world.clock.advance(0.9 * DAYS * 86400)
            monkeypatch.setattr(world.api, "create", sign)
            await world.clock.advance(301)
            await world.settle()
            assert len(asked) == 2
            task.cancel()

    asyncio.run(scenario())


def test_a_certificate_of_its_own_is_made_once_and_anew_when_it_has_expired(world: World, tmp_path: Path) -> None:
    path = tmp_path / "kubelet.pem"
    now = world.clock.now()
    ensure_self_signed(path, "n1", now)
    first = Pair(path).certificate.serial_number
    ensure_self_signed(path, "n1", now + timedelta(days=300))
    assert Pair(path).certificate.serial_number == first
    ensure_self_signed(path, "n1", now + timedelta(days=366))
    assert Pair(path).certificate.serial_number != first
