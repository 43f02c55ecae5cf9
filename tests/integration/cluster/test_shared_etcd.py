"""What `up --etcd-servers` finds out about an etcd before anything is started: a real one, and what only pretends."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from pathlib import Path

import orjson
import pytest
from tests.fakes.certs import authority, signed
from tests.fakes.etcd import START_S, members
from tests.fakes.ports import reserved

from steersman.cluster import pki, sharedetcd
from steersman.cluster.settings import ClusterSettings, Paths, SettingsError, save
from steersman.cluster.sharedetcd import SharedEtcd, chosen
from steersman.cluster.up import Choices, decide_settings
from steersman.machinery import yamlio
from steersman.machinery.clock import RealClock
from steersman.store.etcd import EtcdStore
from steersman.store.etcd_calls import TLS
from steersman.store.interface import Put


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("", "ca.crt", "", ""), "belong to --etcd-servers"),
        (("198.51.100.1:2379", "", "", ""), "'198.51.100.1:2379' is no etcd address: http://HOST:PORT"),
        (("https://a:2379/x", "", "", ""), "is no etcd address"),
        (("https://a:2379", "", "client.crt", ""), "go together"),
        (("https://a:2379", "/nowhere/ca.crt", "", ""), "--etcd-cafile /nowhere/ca.crt cannot be read"),
    ],
)
def test_flags_that_cannot_work_are_refused_in_one_sentence(flags: tuple[str, str, str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        chosen(*flags)


def test_what_was_chosen_is_kept_and_may_change_while_nothing_runs(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "state")
    (tmp_path / "ca.crt").touch()
    wanted = chosen("https://a:2379/, https://b:2379", str(tmp_path / "ca.crt"), "", "")
    assert wanted == SharedEtcd(("https://a:2379", "https://b:2379"), str(tmp_path / "ca.crt"))
    made = decide_settings(paths, Choices(advertise_address="192.0.2.1", etcd=wanted))
    assert SharedEtcd.of(made) == wanted and made.store == "etcd" and not made.own_etcd
    save(paths, made)
    assert decide_settings(paths, Choices()) == made
    other = SharedEtcd(("https://c:2379",))
    assert SharedEtcd.of(decide_settings(paths, Choices(etcd=other))) == other


@pytest.mark.parametrize("store", ["sqlite", "etcd"])
def test_a_cluster_whose_objects_are_elsewhere_cannot_move_to_another_etcd(tmp_path: Path, store: str) -> None:
    paths = Paths(tmp_path / "state")
    save(paths, ClusterSettings(node_name="n", advertise_address="192.0.2.1", store=store))
    with pytest.raises(SettingsError, match="has its objects elsewhere"):
        decide_settings(paths, Choices(etcd=SharedEtcd(("https://c:2379",))))


def complaint(etcd: SharedEtcd) -> str:
    return asyncio.run(sharedetcd.complaint(etcd, RealClock()))


def test_an_etcd_is_well_while_one_member_answers_and_else_each_says_why(tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{reserved()}"
    (member,) = members(tmp_path)
    assert complaint(SharedEtcd((nowhere,))) == f"no member of the etcd is well: {nowhere} can't be reached: connection refused"
    member.start()
    try:

        async def until_well() -> None:
            async with asyncio.timeout(60):
                while await sharedetcd.complaint(SharedEtcd((nowhere, member.url)), RealClock()):
                    await RealClock().sleep(0.05)

        asyncio.run(until_well())
        assert complaint(SharedEtcd((member.url.replace("http:", "https:"),))).endswith("or speaks no TLS")
    finally:
        member.kill()


def test_certificates_that_do_not_fit_are_told_apart_from_an_etcd_that_is_down(tmp_path: Path) -> None:
    ca = authority(tmp_path / "ca.crt")
    server = signed(tmp_path / "server", "server", *ca)
    elsewhere = Paths(tmp_path / "elsewhere")
    pki.ensure(elsewhere, ClusterSettings(node_name="n", advertise_address="192.0.2.1"), RealClock())
    (member,) = members(tmp_path, tls=(tmp_path / "ca.crt", *server))
    member.start()
    try:
        well = SharedEtcd((member.url,), str(tmp_path / "ca.crt"), str(server[0]), str(server[1]))

        async def until_well() -> None:
            async with asyncio.timeout(60):
                while await sharedetcd.complaint(well, RealClock()):
                    await RealClock().sleep(0.05)

        asyncio.run(until_well())
        assert "shows a certificate that is not trusted" in complaint(SharedEtcd(well.servers, str(elsewhere.pki / "ca.crt")))
        assert "refuses the client certificate" in complaint(SharedEtcd(well.servers, well.cafile))
    finally:
        member.kill()


def test_an_etcd_with_another_clusters_objects_is_known_by_its_ca(tmp_path: Path) -> None:
    cluster = {"name": "", "cluster": {"certificate-authority-data": b64encode(b"CA one\n").decode()}}
    info = {"data": {"kubeconfig": yamlio.dump({"clusters": [cluster]})}}
    (member,) = members(tmp_path)
    member.start()
    etcd = SharedEtcd((member.url,))

    async def scenario() -> None:
        clock = RealClock()
        store = await EtcdStore.open(etcd.servers, TLS(), clock, patience_s=START_S)
        try:
            assert not await sharedetcd.foreign_ca(etcd, b"CA one\n", clock), "it is empty"
            await store.commit((), (Put("/registry/configmaps/kube-public/cluster-info", orjson.dumps(info)),))
        finally:
            await store.close()
        assert not await sharedetcd.foreign_ca(etcd, b"CA one\n", clock)
        assert await sharedetcd.foreign_ca(etcd, b"CA two\n", clock)
        assert await sharedetcd.foreign_ca(etcd, b"", clock), "a machine that has no CA yet"

    try:
        asyncio.run(scenario())
    finally:
        member.kill()
