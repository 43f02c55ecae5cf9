"""Ports that another program has are told before anything is started."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from steersman.cluster import preflight
from steersman.cluster.settings import Paths


def test_a_port_in_use_is_told_with_who_needs_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = preflight.port_problems({"kubelet": ("127.0.0.1", port), "DNS": ("127.0.0.1", 0)})
    assert said == [f"port {port}, which the kubelet needs, is in use by another program"]
    assert preflight.port_problems({"kubelet": ("127.0.0.1", port)}) == []


def test_an_address_of_another_machine_is_told() -> None:
    assert preflight.port_problems({"DNS": ("192.0.2.1", 10053)}) == ["192.0.2.1 is no address of this machine"]


def test_a_stale_pid_file_is_no_part_of_an_earlier_life(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.run.mkdir()
    assert preflight.none_left(paths, ("node",))
    paths.pid_file("node").write_text(str(os.getpid()))
    # This process is no part, whatever the file says.
    assert preflight.none_left(paths, ("node",))
