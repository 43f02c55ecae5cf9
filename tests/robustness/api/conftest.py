"""One server for each file of these tests. Examples are few and always the same, unless more are asked for: `make fuzz`."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from tests.robustness.api.target import Target

_MORE = int(os.environ.get("FUZZ_EXAMPLES", "0"))
_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture)


def examples(count: int) -> settings:
    """How often a property is tried: `count` times the same way, or as often as `make fuzz` says, otherwise each time."""
    return settings(
        max_examples=_MORE or count,
        derandomize=not _MORE,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=_SLOW,
    )


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    made = Target(tmp_path_factory.mktemp("pki"))
    yield made
    made.close()
