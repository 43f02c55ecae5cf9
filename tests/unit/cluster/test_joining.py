"""What `join` and `remove node` think of what they are told, before anything is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from steersman.cluster import joining, removing
from steersman.cluster.commands import token
from steersman.cluster.settings import ClusterSettings, Paths, SettingsError, load, save
from steersman.machinery.meta import Obj


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1:6443", "192.0.2.1:6443"),
        ("192.0.2.1", "192.0.2.1:6443"),
        ("https://api.example:443/", "api.example:443"),
    ],
)
def test_an_api_server_is_named_by_host_and_port(text: str, address: str) -> None:
    assert joining.server_address(text) == address


@pytest.mark.parametrize("text", ["", ":6443", "192.0.2.1:port", "192.0.2.1:0", "192.0.2.1:70000", "http://192.0.2.1/x:1"])
def test_what_is_no_address_is_told(text: str) -> None:
    with pytest.raises(SettingsError, match="is not the address of an API server: host:port, as in 192.0.2.1:6443"):
        joining.server_address(text)


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("disk", "must be key=value"),
        ("a b=c", "name part must consist of"),
        ("node-role.kubernetes.io/edge=", "may not give itself the label node-role.kubernetes.io/edge"),
        ("node-restriction.kubernetes.io/x=y", "may not give itself"),
        ("steersman.io/pool=x", "may not give itself the label steersman.io/pool"),
    ],
)
def test_labels_that_a_node_cannot_have_are_refused_here_and_not_by_a_kubelet_in_its_log(label: str, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        joining.checked_labels((label,))


def test_labels_of_ones_own_and_of_the_topology_are_fine() -> None:
    labels = ("disk=ssd", "topology.kubernetes.io/zone=a", "example.com/x=")
    assert joining.checked_labels(labels) == labels


def test_what_a_machine_joined_as_is_kept(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "state")
    made = ClusterSettings(
        node_name="n", advertise_address="192.0.2.7", joined_server="https://192.0.2.1:6443", node_labels=("a=b",), pool="edge"
    )
    save(paths, made)
    assert load(paths) == made
    assert made.public_server == "https://192.0.2.1:6443"
    assert made.server == "https://127.0.0.1:6444", "its own way to all API servers"


def pod(name: str, **more: Obj) -> Obj:
    owner = more.pop("owner", {"kind": "ReplicaSet"})
    references = [{**owner, "controller": True}] if owner else []
    annotations = more.pop("annotations", {})
    metadata = {"namespace": "default", "name": name, "ownerReferences": references, "annotations": annotations}
    return {"metadata": metadata, "spec": {}, **more}


def test_pods_that_would_come_back_or_have_ended_need_not_move() -> None:
    there = [
        pod("moves"),
        pod("alone", owner={}),
        pod("everywhere", owner={"kind": "DaemonSet"}),
        pod("mirror", annotations={"kubernetes.io/config.mirror": "x"}),
        pod("done", status={"phase": "Succeeded"}),
    ]
    assert [each["metadata"]["name"] for each in removing.movable(there)] == ["moves", "alone"]


def test_what_would_be_lost_is_named() -> None:
    scratch = pod("scratch", spec={"volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "configMap": {}}]})
    assert removing.losses([pod("moves")]) == []
    assert removing.losses([pod("alone", owner={}), scratch]) == [
        "nobody would make these pods anew: default/alone",
        "these pods would lose what is in their emptyDirs: default/scratch",
    ]


def test_a_token_is_printed_as_the_command_that_joins(tmp_path: Path) -> None:
    from steersman.api.bootstraptokens import BootstrapToken
    from steersman.client import kubeconfig
    from steersman.cluster import pki
    from steersman.machinery.clock import RealClock

    paths = Paths(tmp_path)
    pki.ensure(paths, ClusterSettings(node_name="n", advertise_address="192.0.2.1"), RealClock())
    ca = (paths.pki / "ca.crt").read_bytes()
    kubeconfig.write(tmp_path / "admin.conf", kubeconfig.make("c", "https://192.0.2.1:6443", ca=ca))
    command = token.join_command(tmp_path / "admin.conf", BootstrapToken("abcdef", "0123456789abcdef"))
    expected = "steersman join 192.0.2.1:6443 --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash "
    assert command == expected + pki.pin(ca) and pki.is_pin(pki.pin(ca))
