"""The kubeconfigs that `up` keeps: made again when they do not fit, but what people chose in the administrator's stays."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from steersman.client import kubeconfig
from steersman.cluster import kubeconfigs, pki
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.machinery.clock import VirtualClock

SETTINGS = ClusterSettings(node_name="a", advertise_address="192.0.2.1")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path)
    pki.ensure(made, SETTINGS, VirtualClock())
    kubeconfigs.ensure(made, SETTINGS)
    return made


def test_the_administrators_namespace_and_contexts_outlive_an_up(paths: Paths) -> None:
    config = kubeconfig.read(paths.admin_kubeconfig)
    config["contexts"][0]["context"]["namespace"] = "shop"
    theirs = kubeconfig.make("work", "https://192.0.2.9:6443", ca=b"ca", token="t")
    kubeconfig.write(paths.admin_kubeconfig, kubeconfig.merge(config, theirs))
    kubeconfigs.ensure(paths, dataclasses.replace(SETTINGS, secure_port=7443))
    kept = kubeconfig.read(paths.admin_kubeconfig)
    assert kept["current-context"] == "work"
    ours, other = kubeconfig.resolve(kept, "steersman"), kubeconfig.resolve(kept, "work")
    assert (ours.server, ours.namespace, other.server) == ("https://192.0.2.1:7443", "shop", "https://192.0.2.9:6443")
    assert kubeconfig.resolve(kept, "steersman").key is not None


@pytest.mark.parametrize("component", ["admin", "scheduler"])
@pytest.mark.parametrize(
    "text", ["", "garbage: [", "- a list", "clusters: []\n", "users: [7]\n", "contexts:\n- {name: steersman, context: 7}\n"]
)
def test_a_damaged_kubeconfig_is_made_again(paths: Paths, component: str, text: str) -> None:
    path = paths.kubeconfigs / f"{component}.conf"
    whole = kubeconfig.read(path)
    path.write_text(text)
    kubeconfigs.ensure(paths, SETTINGS)
    assert kubeconfig.read(path) == whole


def test_a_component_keeps_nothing_but_what_it_needs(paths: Paths) -> None:
    path = paths.kubeconfigs / "scheduler.conf"
    whole = kubeconfig.read(path)
    kubeconfig.merge_into(path, kubeconfig.make("work", "https://192.0.2.9:6443", ca=b"ca", token="t"))
    kubeconfigs.ensure(paths, SETTINGS)
    assert kubeconfig.read(path) == whole
