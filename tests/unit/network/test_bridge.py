"""What a node's bridge network holds, with the kernel left out."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from steersman.network import bridge, firewall, links, overlay


def test_addresses_of_sandboxes_that_are_no_more_are_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash between a sandbox's record and its removal used to keep its address for ever."""
    unwired: list[str] = []
    monkeypatch.setattr(bridge, "Netlink", lambda: None)
    monkeypatch.setattr(overlay, "pod_mtu", lambda netlink, address: 1500)
    monkeypatch.setattr(firewall, "apply", lambda *_: None)
    for name in ("ensure_bridge", "set_sysctls"):
        monkeypatch.setattr(links, name, lambda *_: None)
    monkeypatch.setattr(links, "detach", lambda netlink, sandbox: unwired.append(sandbox))
    (tmp_path / "addresses").mkdir()
    for address, owner in (("10.9.0.2", "lost"), ("10.9.0.3", "known")):
        (tmp_path / "addresses" / address).write_text(owner)

    async def scenario() -> None:
        network = bridge.BridgeNetwork(tmp_path, "br0", "10.9.0.0/16")
        await network.keep_only(["known"])
        assert unwired == [], "no range, no addresses"
        await network.set_pod_cidr("10.9.0.0/24")
        await network.keep_only(["known"])

    asyncio.run(scenario())
    assert unwired == ["lost"]
    assert [file.name for file in (tmp_path / "addresses").iterdir()] == ["10.9.0.3"]
