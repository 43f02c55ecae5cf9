"""Every transcript of tests/golden/kubectl, typed anew to upstream's kubectl against a cluster of ours.

`pytest --update-goldens` writes the answers anew: then look at the difference with the eyes of a user of upstream.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.integration.clients.served import Served
from tests.integration.kubectl_goldens.conftest import GOLDEN, place
from tests.integration.kubectl_goldens.transcripts import replayed


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.txt")))
def test_what_kubectl_says(
    name: str, served: Served, program: str, cache: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    golden = GOLDEN / f"{name}.txt"
    here = place(tmp_path, served.kubeconfig, cache, name)
    # Not by the place's own configuration: a transcript may have changed it.
    environment = {**here.environment, "KUBECONFIG": str(served.kubeconfig)}
    for command in (
        ["create", "namespace", name],
        ["wait", "serviceaccount/default", "-n", name, "--for=create", "--timeout=120s"],
        ["wait", "configmap/kube-root-ca.crt", "-n", name, "--for=create", "--timeout=120s"],
    ):
        subprocess.run([program, *command], env=environment, capture_output=True, check=True)
    try:
        said = replayed(golden.read_text(), here)
    finally:
        ended = [program, "delete", "namespace", name, "--wait=false"]
        subprocess.run(ended, env=environment, capture_output=True, check=True)
    if request.config.getoption("--update-goldens"):
        golden.write_text(said)
    assert said == golden.read_text()
