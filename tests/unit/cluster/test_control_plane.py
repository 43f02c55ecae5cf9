"""What one control plane machine gives to another: sealed, whole, and only of a cluster that can be shared."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from tests.fakes.client import FakeClient

from steersman.api.bootstraptokens import BootstrapToken, to_secret
from steersman.api.resources import ROLE_BINDINGS, ROLES, SECRETS
from steersman.cluster import certbundle, controlplane, joining, pki
from steersman.cluster.certbundle import BadKey, seal, unseal
from steersman.cluster.joining import JoinChoices
from steersman.cluster.progress import Progress
from steersman.cluster.settings import ClusterSettings, Paths, SettingsError, save
from steersman.cluster.sharedetcd import SharedEtcd
from steersman.machinery.clock import RealClock
from steersman.machinery.meta import uid_of

FILES = {"ca.key": b"secret", "ca.crt": b"public"}
SETTINGS = ClusterSettings(
    node_name="node-1",
    advertise_address="192.0.2.1",
    secure_port=7443,
    node_ports=(31000, 31999),
    load_balancer_pool="192.0.2.9/32",
)
ETCD = ("https://192.0.2.11:2379", "https://192.0.2.12:2379")


def test_what_was_sealed_opens_with_its_key_and_tells_nothing_without() -> None:
    key = certbundle.new_key()
    sealed = seal(FILES, key)
    assert unseal(sealed, key) == FILES
    assert not any(content in b64decode(sealed[name]) for name, content in FILES.items())
    assert seal(FILES, key) != sealed, "the same twice would tell that it is the same"


@pytest.mark.parametrize("what", ["another key", "a file in another's place", "a changed byte", "no base64"])
def test_nothing_opens_that_was_not_sealed_so(what: str) -> None:
    key = certbundle.new_key()
    sealed = seal(FILES, key)
    if what == "another key":
        key = certbundle.new_key()
    elif what == "a file in another's place":
        sealed["ca.key"] = sealed["ca.crt"]
    elif what == "a changed byte":
        raw = bytearray(b64decode(sealed["ca.key"]))
        raw[-1] ^= 1
        sealed["ca.key"] = b64encode(raw).decode()
    else:
        sealed["ca.key"] = "no base64"
    with pytest.raises(BadKey):
        unseal(sealed, key)


@pytest.mark.parametrize(
    ("text", "good"), [("0" * 64, True), ("0" * 63, False), ("0" * 65, False), ("G" * 64, False), ("A" * 64, False), ("", False)]
)
def test_keys_are_recognized(text: str, good: bool) -> None:
    assert certbundle.is_key(text) is good


@pytest.mark.parametrize(("store", "where"), [("sqlite", "a file on this machine"), ("etcd", "loopback")])
def test_a_cluster_on_one_machine_cannot_be_shared(store: str, where: str) -> None:
    with pytest.raises(SettingsError, match=f"{where}.*`steersman up --etcd-servers`"):
        controlplane.check_shareable(ClusterSettings(node_name="n", advertise_address="192.0.2.1", store=store))


def shared(directory: Path) -> tuple[Paths, ClusterSettings]:
    """A first machine, with its PKI and etcd's files."""
    paths = Paths(directory)
    for name in ("cafile", "certfile", "keyfile"):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(name)
    etcd = SharedEtcd(ETCD, *(str(directory / name) for name in ("cafile", "certfile", "keyfile")))
    settings = etcd.into(SETTINGS)
    pki.ensure(paths, settings, RealClock())
    return paths, settings


def test_another_machine_gets_the_clusters_keys_and_settings_and_keeps_its_own_name(tmp_path: Path) -> None:
    paths, settings = shared(tmp_path / "one")
    client = FakeClient()
    token = BootstrapToken("abcdef", "0123456789abcdef")

    async def scenario() -> tuple[str, dict[str, str]]:
        made = await client.create(SECRETS, to_secret(token))
        key = await controlplane.offer(client, paths, settings, token.id)
        secret = await client.get(SECRETS, "steersman-certs-abcdef", "kube-system")
        role = await client.get(ROLES, "steersman-certs-abcdef", "kube-system")
        binding = await client.get(ROLE_BINDINGS, "steersman-certs-abcdef", "kube-system")
        assert role["rules"][0]["resourceNames"] == ["steersman-certs-abcdef"] and role["rules"][0]["verbs"] == ["get"]
        assert [subject["name"] for subject in binding["subjects"]] == ["system:bootstrap:abcdef"]
        for obj in (secret, role, binding):
            assert [owner["uid"] for owner in obj["metadata"]["ownerReferences"]] == [uid_of(made)]
        return key, secret["data"]

    key, data = asyncio.run(scenario())
    other = Paths(tmp_path / "two")
    own = ClusterSettings(node_name="node-2", advertise_address="192.0.2.2", joined_as="192.0.2.1:7443")
    got = controlplane.install(other, own, unseal(data, key))
    assert (got.node_name, got.advertise_address, got.joined_as, got.joined_server) == ("node-2", "192.0.2.2", "", "")
    assert (got.secure_port, got.node_ports, got.load_balancer_pool) == (7443, (31000, 31999), "192.0.2.9/32")
    assert got.etcd_servers == ETCD and not got.own_etcd
    assert [Path(path).read_text() for path in (got.etcd_cafile, got.etcd_certfile, got.etcd_keyfile)] == [
        "cafile",
        "certfile",
        "keyfile",
    ]
    for name in ("ca.crt", "ca.key", "sa.key", "front-proxy-ca.crt", "front-proxy-ca.key"):
        assert (other.pki / name).read_bytes() == (paths.pki / name).read_bytes()
        assert (other.pki / name).stat().st_mode & 0o777 == 0o600
    made = pki.ensure(other, got, RealClock())
    assert "apiserver" in made and "front-proxy-client" in made and not {"ca", "sa", "front-proxy-ca"} & set(made)


def test_a_cluster_from_before_there_was_a_front_proxy_can_be_joined(tmp_path: Path) -> None:
    paths, settings = shared(tmp_path / "one")
    for name in ("front-proxy-ca.crt", "front-proxy-ca.key", "front-proxy-client.crt", "front-proxy-client.key"):
        (paths.pki / name).unlink()

    async def offered() -> dict[str, bytes]:
        client = FakeClient()
        await client.create(SECRETS, to_secret(BootstrapToken("abcdef", "0123456789abcdef")))
        key = await controlplane.offer(client, paths, settings, "abcdef")
        return unseal((await client.get(SECRETS, "steersman-certs-abcdef", "kube-system"))["data"], key)

    other = Paths(tmp_path / "two")
    got = controlplane.install(other, settings, asyncio.run(offered()))
    assert {"front-proxy-ca", "front-proxy-client"} <= set(pki.ensure(other, got, RealClock()))


@pytest.mark.parametrize(
    ("choices", "key", "told"),
    [
        (
            JoinChoices("192.0.2.1", "abcdef.0123456789abcdef", ("sha256:0",)),
            "",
            "--certificate-key must be 64 hexadecimal digits",
        ),
        (JoinChoices("192.0.2.1", "abcdef.0123456789abcdef", ("sha256:0",)), "xyz", "must be 64 hexadecimal digits"),
        (JoinChoices("192.0.2.1"), "0" * 64, "--token and --discovery-token-ca-cert-hash are needed"),
        (JoinChoices("192.0.2.1", pool="edge"), "0" * 64, "--pool and --labels are for machines that are nodes and nothing else"),
    ],
)
def test_a_control_plane_that_cannot_join_says_why(tmp_path: Path, choices: JoinChoices, key: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        controlplane.join(Paths(tmp_path), choices, key, RealClock(), Progress(RealClock()))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (ClusterSettings(node_name="n", advertise_address="192.0.2.2"), "has a cluster of its own"),
        (ClusterSettings(node_name="n", advertise_address="192.0.2.2", joined_server="https://192.0.2.1:6443"), "is a node of"),
    ],
)
def test_a_machine_that_is_something_else_stays_that(tmp_path: Path, settings: ClusterSettings, told: str) -> None:
    save(Paths(tmp_path), settings)
    with pytest.raises(SettingsError, match=told):
        controlplane.join(Paths(tmp_path), JoinChoices("192.0.2.1"), "0" * 64, RealClock(), Progress(RealClock()))


def test_a_control_plane_machine_is_no_node_to_join_again(tmp_path: Path) -> None:
    save(Paths(tmp_path), ClusterSettings(node_name="n", advertise_address="192.0.2.2", store="etcd", etcd_servers=ETCD))
    with pytest.raises(SettingsError, match="holds a cluster of its own"):
        joining.join(Paths(tmp_path), JoinChoices("192.0.2.1"), RealClock(), Progress(RealClock()))
