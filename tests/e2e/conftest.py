"""One cluster for all end-to-end tests: made once, used by each in a namespace of its own, removed at the end."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator

import pytest
from tests.e2e.harness import Cluster


_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    made = Cluster(f"stm-e2e-{os.getpid()}")
    try:
        made.up()
        yield made
    finally:
        made.remove()


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for one test, deleted without waiting."""
    stem = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40].strip("-")
    name = f"{stem}-{next(_numbers)}"
    cluster.kubectl("create", "-f", "-", stdin=f'{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{name}"}}}}')
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")
