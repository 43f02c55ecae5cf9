"""A pod's user namespace on its way over CRI: our client's words, and what our server makes of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cri_api.v1 import api_pb2 as cri

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import ContainerConfig, IdMapping, Mount, SandboxConfig
from steersman.cri.remote import messages
from steersman.cri.server import requests

_POD = SandboxConfig(name="web", uid="u1", namespace="default", id_mappings=(IdMapping(0, 131072, 65536),))


def test_mappings_are_named_for_the_pod_its_containers_and_their_volumes() -> None:
    message = messages.container(ContainerConfig(name="c", image="i", mounts=(Mount("/data", "/host"),)), _POD)
    options = message.linux.security_context.namespace_options.userns_options
    assert options.mode == cri.POD
    expected = [cri.IDMapping(host_id=131072, container_id=0, length=65536)]
    assert list(options.uids) == list(options.gids) == list(message.mounts[0].uidMappings) == expected
    assert list(message.mounts[0].gidMappings) == expected


def test_they_arrive_as_they_were_sent() -> None:
    assert requests.sandbox(messages.sandbox(_POD)).id_mappings == _POD.id_mappings


def test_the_nodes_users_are_asked_for_by_name() -> None:
    message = messages.sandbox(replace(_POD, id_mappings=()))
    options = message.linux.security_context.namespace_options.userns_options
    assert (options.mode, list(options.uids)) == (cri.NODE, [])
    assert requests.sandbox(message).id_mappings == ()


def test_users_and_groups_that_differ_are_refused() -> None:
    message = messages.sandbox(_POD)
    message.linux.security_context.namespace_options.userns_options.gids[0].host_id = 5
    with pytest.raises(RuntimeFault, match="mapped alike"):
        requests.sandbox(message)
