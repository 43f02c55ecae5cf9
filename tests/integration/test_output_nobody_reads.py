"""`steersman … | head -1`: who stops reading ends the command without a complaint."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from steersman.cluster.settings import ClusterSettings, Paths, save


@pytest.mark.parametrize("line", ["--help", "up --help", "status", "kubectl --help"])
def test_a_command_whose_output_nobody_reads_says_nothing_of_it(line: str, tmp_path: Path) -> None:
    paths = Paths(tmp_path / "state")
    paths.state.mkdir()
    save(paths, ClusterSettings(node_name="n1", advertise_address="127.0.0.1"))
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as nobody:
        environment = {**os.environ, "STEERSMAN_STATE_DIR": str(paths.state)}
        command = [sys.executable, "-m", "steersman", *line.split()]
        done = subprocess.run(command, stdout=nobody, stderr=subprocess.PIPE, env=environment, text=True, check=False)
    assert done.stderr == "" and done.returncode in (0, 1)
