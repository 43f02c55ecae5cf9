"""Our kubectl says what upstream's says to every line of lines/, apart from the differences of docs/kubectl.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.harness import Cluster, eventually
from tests.e2e.kubectl import lines
from tests.e2e.kubectl.known import KNOWN
from tests.e2e.kubectl.sides import Sides

ALONE = "lines-alone"
DOCUMENT = Path(__file__).parents[3] / "docs" / "kubectl.md"


@pytest.fixture
def sides(cluster: Cluster, tmp_path: Path) -> Sides:
    cluster.steersman("example", "--image-only", "1")
    return Sides(cluster, tmp_path)


@pytest.fixture
def read(cluster: Cluster) -> Iterator[str]:
    """The namespace that lines which stand alone read, with everything in it settled."""
    cluster.kubectl("create", "namespace", ALONE)
    eventually(lambda: cluster.kubectl("get", "serviceaccount/default", "cm/kube-root-ca.crt", "-n", ALONE))
    cluster.apply((lines.FOLDER / "read.yaml").read_text(), namespace=ALONE)
    cluster.kubectl("wait", "pod/talker", "-n", ALONE, "--for=condition=Ready", "--timeout=240s")
    eventually(lambda: cluster.get("deploy/web", "-n", ALONE)["status"].get("conditions"))
    eventually(lambda: all(item["status"].get("conditions") for item in cluster.get("pods", "-n", ALONE)["items"]))
    yield ALONE
    cluster.kubectl("delete", "namespace", ALONE, "--wait=false")


@pytest.mark.root
def test_every_line_comes_out_as_upstreams(sides: Sides, read: str, capsys: pytest.CaptureFixture[str]) -> None:
    findings = sides.compare(lines.alone(), read, lines.steps())
    with capsys.disabled():
        print(f"\n{len(set(findings.compared))} command lines, {len(findings.known)} of them known to differ", end=" ")
    assert not findings.differences, "\n\n".join(findings.differences)


def test_known_differences_are_of_lines_that_exist_and_are_documented() -> None:
    every = {line.text for part in (lines.alone(), *lines.steps()) for line in part}
    assert set(KNOWN) <= every
    assert len(every) >= 150
    rows = DOCUMENT.read_text()
    assert [why for why in KNOWN.values() if f"| {why} |" not in rows] == []
