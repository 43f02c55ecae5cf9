"""Two hundred times kill -9 under concurrent writers: nothing acknowledged is lost, no watcher misses or repeats anything."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest
from tests.robustness.store.checker import Broken
from tests.robustness.store.crash import Crashes

from steersman.store import failpoints, sqlite
from steersman.store.sqlite_write import Batch, Writer

_ROUNDS = 50


@pytest.mark.parametrize("seed", [1, 2])
def test_no_promise_is_broken_when_the_process_is_killed_where_it_hurts_most(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    crashes = Crashes(tmp_path, seed)
    for number in range(_ROUNDS):
        point = failpoints.POINTS[number % len(failpoints.POINTS)]
        crashes.killed_at(_term(point, rng))
    assert crashes.ledger.acknowledged > 20 * _ROUNDS and crashes.relisted


def _term(point: str, rng: random.Random) -> str:
    if point == "duringCheckpoint":
        # Copying 200 pages and making them durable takes a few milliseconds.
        return f"{point}=kill~{rng.randrange(1, 4000)}@{rng.randrange(1, 3)}"
    return f"{point}=kill@{rng.randrange(1, 4 if point == 'duringCompaction' else 100)}"


@pytest.mark.parametrize("seed", [3, 4])
def test_no_promise_is_broken_when_the_process_is_killed_at_any_time(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    crashes = Crashes(tmp_path, seed)
    for _ in range(_ROUNDS):
        # From its very beginning, when it opens the store, to hundreds of commits later.
        crashes.killed_after(rng.choice((0, rng.randrange(600), rng.randrange(600), rng.randrange(600))), rng.uniform(0.0, 0.03))
    assert crashes.ledger.acknowledged > 20 * _ROUNDS and crashes.relisted


class _Hasty(Writer):
    """Acknowledges, then makes durable: faster, and wrong."""

    def _commit(self, batch: Batch) -> None:
        self._deliver(batch)
        # So long that what was delivered has been told before the process is killed.
        threading.Event().wait(0.05)
        self._pass("beforeAcknowledge")
        self._connection.execute("COMMIT")
        self.revision = batch.revision


def test_a_store_that_acknowledges_before_it_is_durable_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "Writer", _Hasty)
    crashes = Crashes(tmp_path, 5)
    with pytest.raises(Broken, match="(acknowledged|seen) as .* is lost"):
        for number in range(20):
            crashes.killed_at(f"beforeAcknowledge=kill@{20 + number}")
