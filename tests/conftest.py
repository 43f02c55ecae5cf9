"""One cluster for all tests that need a real one: made once, used by each test in a namespace of its own, removed at the end."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, cast

import hypothesis
import pytest

from steersman.machinery import verbosity

if TYPE_CHECKING:
    # Most tests need no cluster, and not the imports of one either.
    from tests.conformance.api import Api
    from tools.throwaway import Cluster


# The same cases in every run, on machines of any speed: chance looks for new ones in `make fuzz`, which names a seed.
hypothesis.settings.register_profile(
    "steersman",
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("steersman")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write what is into tests/golden, and let it be looked at")
    parser.addoption("--cluster-runtime", choices=("native", "containerd"), default="native", help="what runs pods in tests")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With a failure comes what the shared cluster was like: it may not fail again when looked for.

    Where CI is set a real part that is not there is a failure: what starts it runs, and is not skipped.
    """
    report = yield
    if report.skipped and os.environ.get("CI") and item.get_closest_marker("root") and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"{item.nodeid} was skipped in CI: {report.longrepr}"
    used = item.funcargs.get("cluster") if isinstance(item, pytest.Function) else None
    if report.failed and used is not None:
        report.sections.append(("the cluster", cast("Cluster", used).condition()))
    return report


@pytest.fixture(autouse=True)
def usual_verbosity() -> Iterator[None]:
    """How much is logged is a matter of the process, which tests share: one that changes it leaves it as it was."""
    before = verbosity.level, logging.root.level
    yield
    verbosity.level = before[0]
    logging.root.setLevel(before[1])


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    from tests.e2e.machine import ContainerdCluster
    from tools.throwaway import Cluster

    kind = ContainerdCluster if request.config.getoption("--cluster-runtime") == "containerd" else Cluster
    made = kind(f"stm-e2e-{os.getpid()}")
    try:
        made.up()
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> Iterator[Api]:
    """The cluster's API, as its administrator."""
    from tests.conformance.api import Api

    with Api(cluster.netns.name, cluster.kubeconfig) as made:
        yield made


@pytest.fixture
def namespace(api: Api, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for one test, deleted without waiting."""
    from tests.conformance.space import new_namespace

    stem = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_")).strip("-")[:40].strip("-")
    with new_namespace(api, stem) as name:
        yield name
