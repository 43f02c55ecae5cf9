"""The CNI configuration of a node: what it says, and whose it leaves alone."""

from __future__ import annotations

from pathlib import Path

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
