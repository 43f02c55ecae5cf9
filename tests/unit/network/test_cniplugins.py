"""CNI plugins as the native runtime calls them: which configuration counts, what plugins are told, what becomes of failures."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from steersman.machinery.clock import RealClock
from steersman.network import cniplugins
from steersman.network.bridge import NetworkFault
from steersman.network.cniplugins import CniPlugins

_PLUGIN = """#!/bin/sh
request=$(cat)
echo "$CNI_COMMAND ${0##*/} $CNI_CONTAINERID $CNI_NETNS $CNI_IFNAME $CNI_ARGS" >> DIR/calls
echo "$request" > DIR/"${0##*/}-$CNI_COMMAND.json"
[ ! -e DIR/fail-$CNI_COMMAND ] || { echo '{"code": 11, "msg": "no luck", "details": "today"}'; exit 1; }
[ $CNI_COMMAND = DEL ] || echo '{"cniVersion": "0.4.0", "ips": [{"address": "fd00::7/64"}, {"address": "10.9.0.7/24"}]}'
"""


@dataclass(frozen=True)
class Port:
    protocol: str
    container_port: int
    host_port: int
    host_ip: str = ""


@dataclass(frozen=True)
class Pod:
    name: str = "web"
    namespace: str = "default"
    uid: str = "u1"
    port_mappings: tuple[Port, ...] = (Port("TCP", 80, 8080), Port("UDP", 53, 0))


class Node:
    """A network over scripted plugins `one` and `two`."""

    def __init__(self, root: Path) -> None:
        self.root, self.conf = root, root / "net.d"
        self.conf.mkdir()
        (root / "bin").mkdir()
        (root / "netns").touch()
        for name in ("one", "two"):
            program = root / "bin" / name
            program.write_text(_PLUGIN.replace("DIR", str(root)))
            program.chmod(0o755)
        self.network = CniPlugins(root / "state", self.conf, RealClock(), [str(root / "none"), str(root / "bin")])

    def configure(self, *kinds: str, file: str = "10-x.conflist") -> None:
        plugins = [{"type": kind, "color": kind, "capabilities": {"portMappings": kind == "two"}} for kind in kinds]
        (self.conf / file).write_text(json.dumps({"cniVersion": "0.4.0", "name": "net", "plugins": plugins}))

    async def attach(self, sandbox: str = "s1") -> tuple[str, ...]:
        return await self.network.attach(sandbox, str(self.root / "netns"), Pod())

    async def detach(self, sandbox: str = "s1") -> None:
        await self.network.detach(sandbox, str(self.root / "netns"), Pod())

    def calls(self) -> list[list[str]]:
        return [line.split()[:3] for line in (self.root / "calls").read_text().splitlines()]

    def told(self, kind: str, command: str) -> Any:
        return json.loads((self.root / f"{kind}-{command}.json").read_text())


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr("steersman.network.links.loopback_up", lambda netns: None)
    return Node(tmp_path)


def test_a_pod_is_wired_by_each_plugin_in_turn_and_unwired_backwards(node: Node) -> None:
    async def scenario() -> None:
        node.configure("one", "two")
        assert await node.network.ready() == ""
        assert await node.attach() == ("10.9.0.7", "fd00::7")
        assert node.told("one", "ADD") == {"type": "one", "color": "one", "name": "net", "cniVersion": "0.4.0"}
        second = node.told("two", "ADD")
        assert second["prevResult"]["ips"][1]["address"] == "10.9.0.7/24"
        ports = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": ""}]
        assert second["runtimeConfig"] == {"portMappings": ports} and "capabilities" not in second
        first = (node.root / "calls").read_text().splitlines()[0]
        about = "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=s1;K8S_POD_UID=u1"
        assert first == f"ADD one s1 {node.root}/netns eth0 IgnoreUnknown=1;{about}"
        assert await node.attach() == ("10.9.0.7", "fd00::7"), "once more changes nothing"

        # By what made it, whatever is configured now.
        node.configure("two")
        await node.detach()
        assert node.told("one", "DEL")["prevResult"]["ips"]
        await node.detach()
        assert node.calls() == [[c, k, "s1"] for c, k in (("ADD", "one"), ("ADD", "two"), ("DEL", "two"), ("DEL", "one"))]

    asyncio.run(scenario())


def test_what_was_made_for_sandboxes_that_are_no_more_is_undone(node: Node) -> None:
    async def scenario() -> None:
        await node.network.keep_only([])
        node.configure("one")
        for sandbox in ("s1", "s2"):
            await node.attach(sandbox)
        await node.network.keep_only({"s2"})
        assert node.calls() == [["ADD", "one", "s1"], ["ADD", "one", "s2"], ["DEL", "one", "s1"]]
        await node.detach("s1")
        assert len(node.calls()) == 3

    asyncio.run(scenario())


def test_without_a_configuration_the_network_is_not_ready(node: Node) -> None:
    async def scenario() -> None:
        start = "Network plugin returns error: cni plugin not initialized: "
        assert await node.network.ready() == f"{start}no network config found in {node.conf}"
        with pytest.raises(NetworkFault, match="no network config found"):
            await node.attach()
        (node.conf / "05-broken.conf").write_text('{"name": "x", "plugins": []}')
        assert await node.network.ready() == f"{start}{node.conf}/05-broken.conf: no plugins in list"
        node.configure("one")
        assert await node.network.ready() == ""
        assert await node.attach()
        await node.detach()

    asyncio.run(scenario())


def test_failures_are_told_in_libcni_s_words(node: Node) -> None:
    async def scenario() -> None:
        node.configure("nothing")
        with pytest.raises(NetworkFault) as caught:
            await node.attach()
        assert str(caught.value) == f'failed to find plugin "nothing" in path [{node.root}/none {node.root}/bin]'
        node.configure("one", "two")
        (node.root / "fail-ADD").touch()
        with pytest.raises(NetworkFault) as caught:
            await node.attach("s2")
        assert str(caught.value) == 'plugin type="one" name="net" failed (add): no luck; today'
        # What was begun is undone by all of its plugins.
        await node.detach("s2")
        assert node.calls()[-2:] == [["DEL", "two", "s2"], ["DEL", "one", "s2"]]
        (node.root / "fail-ADD").unlink()
        await node.attach("s3")
        (node.root / "fail-DEL").touch()
        with pytest.raises(NetworkFault, match=r'plugin type="two" name="net" failed \(delete\): no luck; today'):
            await node.detach("s3")
        (node.root / "fail-DEL").unlink()
        await node.detach("s3")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ('{"name": "a", "type": "bridge"}', ["bridge"]),
        ('{"name": "a", "cniVersion": "1.0.0", "plugins": [{"type": "ptp"}, {"type": "portmap"}]}', ["ptp", "portmap"]),
        ('{"name": "a", "plugins": []}', "no plugins in list"),
        ('{"name": "a", "plugins": [{}]}', "a plugin has no type"),
        ('{"name": "a", "type": "../../bin/sh"}', "a plugin has no type"),
        ('{"type": "bridge"}', "no name"),
        ("[]", "not a network configuration"),
        ("{", "Expecting"),
    ],
)
def test_configurations_are_lists_or_single_plugins(text: str, kinds: list[str] | str) -> None:
    if isinstance(kinds, str):
        with pytest.raises(ValueError, match=kinds):
            cniplugins.parse(text)
    else:
        assert [plugin["type"] for plugin in cniplugins.parse(text).plugins] == kinds


def test_results_of_old_plugins_are_read_as_well() -> None:
    assert cniplugins.addresses({"ip4": {"ip": "10.1.0.2/16"}}) == ("10.1.0.2",)
    assert cniplugins.addresses({"interfaces": []}) == ()
