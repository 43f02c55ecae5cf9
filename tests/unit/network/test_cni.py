"""The CNI configuration of a node: what it says, and whose it leaves alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from steersman.network import cni


def test_pods_get_addresses_of_the_nodes_range_and_host_ports_and_send_what_fits_between_nodes() -> None:
    made = cni.conflist("10.244.3.0/24", "/state/cni", 1450)
    ptp, portmap = made["plugins"]
    assert (ptp["type"], ptp["ipam"]["ranges"], ptp["ipam"]["dataDir"]) == ("ptp", [[{"subnet": "10.244.3.0/24"}]], "/state/cni")
    assert ptp["mtu"] == 1450
    assert portmap["capabilities"] == {"portMappings": True}


def test_only_configurations_of_others_are_foreign(tmp_path: Path) -> None:
    assert cni.foreign(tmp_path / "none") == []
    for name in (cni.FILE, "README", "20-calico.conflist", "99-x.conf"):
        (tmp_path / name).touch()
    assert cni.foreign(tmp_path) == ["20-calico.conflist", "99-x.conf"]


def test_ours_goes_when_somebody_else_configures_and_comes_back_when_they_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied: list[str] = []
    monkeypatch.setattr("steersman.network.cni.firewall.apply", lambda cidr, *_: applied.append(cidr))
    monkeypatch.setattr("steersman.network.cni.firewall.remove", lambda: applied.append("removed"))
    monkeypatch.setattr("steersman.network.cni._mtu", lambda address: 1450)
    conf, state, plugins = tmp_path / "net.d", tmp_path / "state", tmp_path / "bin"
    plugins.mkdir()
    for name in cni.PLUGINS:
        (plugins / name).touch()
    ours, theirs = conf / cni.FILE, conf / "99-theirs.conflist"

    async def scenario() -> None:
        network = cni.CniNetwork(state, "10.244.0.0/16")
        assert await network.ready() == "the node has no pod CIDR yet"
        await network.set_pod_cidr("10.244.1.0/24", str(conf), str(plugins))
        assert await network.ready() == "" and ours.exists() and cni.is_ours(state)
        theirs.touch()
        assert await network.ready() == "" and not ours.exists() and not cni.is_ours(state)
        theirs.unlink()
        assert await network.ready() == "" and ours.exists() and cni.is_ours(state)
        ours.unlink()
        assert await network.ready() == "" and ours.exists()
        (plugins / "ptp").unlink()
        ours.unlink()
        assert "CNI plugins are not in" in await network.ready() and not ours.exists()
        (plugins / "ptp").touch()
        assert await network.ready() == "" and ours.exists()

    asyncio.run(scenario())
    assert applied == ["10.244.0.0/16", "removed", "10.244.0.0/16", "10.244.0.0/16", "10.244.0.0/16"]
