"""The checker finds each kind of broken promise: otherwise two hundred rounds without a finding would mean nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.robustness.store.checker import Broken, Disk, Ledger, Row
from tests.robustness.store.values import tag_of, value_of

A, B, C = "/registry/pods/a", "/registry/pods/b", "/registry/leases/c"
LOG = [Row(2, A, "1"), Row(3, C, "2"), Row(4, A, "3"), Row(4, B, "3"), Row(5, C, None), Row(6, A, "p+"), Row(6, B, "p+")]
LIVE = [Row(6, A, "p+"), Row(6, B, "p+")]
DISK = Disk(LOG, LIVE, 0)


def told() -> Ledger:
    """A process that has written all of LOG but the last, and told a watcher of pods and one of everything."""
    ledger = Ledger({"all": "/registry/", "pods": "/registry/pods/"})
    ledger.opened(1)
    for revision in (2, 3, 4, 5):
        ledger.acknowledge(revision, [(row.key, row.tag) for row in LOG if row.revision == revision])
    ledger.see("all", LOG[:2])
    ledger.see("pods", [LOG[0]])
    ledger.see("pods", LOG[2:4])
    return ledger


def test_what_is_as_it_should_be_is_not_complained_about_and_watchers_go_on_where_they_were() -> None:
    ledger = told()
    ledger.check(DISK)
    assert (ledger.position("all"), ledger.position("pods")) == (3, 4)
    ledger.opened(6)
    ledger.see("all", LOG[2:5])
    ledger.see("pods", LOG[5:7])
    ledger.acknowledge(7, [(C, "again")])
    ledger.list_anew("all", 7)
    ledger.acknowledge(8, [(C, "later")])
    ledger.see("all", [Row(8, C, "later")])
    ledger.check(Disk([Row(8, C, "later")], [*LIVE, Row(8, C, "later")], compacted=7))


def log_without(*rows: Row) -> Disk:
    return replace(DISK, log=[row for row in LOG if row not in rows])


DISKS = {
    "the newest acknowledged write is lost": (
        Disk(LOG[:4], [LOG[2], LOG[3], LOG[1]], 0),
        "revision 5, acknowledged as .* is lost",
    ),
    "an older acknowledged write is lost": (log_without(LOG[1]), "revision 3, acknowledged as .*; on disk it is {}"),
    "one key of a commit is lost": (log_without(LOG[3]), "revision 4"),
    "one key of an unacknowledged commit is lost": (log_without(LOG[6]), "one of two keys of revision 6 is missing"),
    "a revision is skipped": (Disk([*LOG[:5], Row(7, A, "9")], [Row(7, A, "9")], 0), "nothing is known of revision 6"),
    "a value is another": (replace(DISK, log=[Row(2, A, "x"), *LOG[1:]]), "revision 2 of .*/a was 1 and is x"),
    "a value is torn": (replace(DISK, log=[*LOG[:5], Row(6, A, "torn:12")]), "a torn value"),
    "a deleted key is back": (replace(DISK, live=[*LIVE, LOG[1]]), "leases/c should be None"),
    "a key shows an older value": (replace(DISK, live=[LOG[2], LIVE[1]]), "pods/a should be .*p"),
    "a live key is gone": (replace(DISK, live=LIVE[:1]), "pods/b should be .* on disk it is None"),
}


@pytest.mark.parametrize("name", DISKS)
def test_it_finds_on_disk_that(name: str) -> None:
    disk, complaint = DISKS[name]
    with pytest.raises(Broken, match=complaint):
        told().check(disk)


def missed(ledger: Ledger) -> None:
    ledger.see("all", LOG[4:5])
    ledger.check(DISK)


def twice(ledger: Ledger) -> None:
    ledger.see("all", [LOG[2], LOG[3], LOG[3], LOG[4]])
    ledger.check(DISK)


def half_a_revision(ledger: Ledger) -> None:
    ledger.see("all", [LOG[2], LOG[4]])
    ledger.check(DISK)


def out_of_order(ledger: Ledger) -> None:
    ledger.see("all", [LOG[4], *LOG[2:4]])
    ledger.check(DISK)


def opened_too_early(ledger: Ledger) -> None:
    ledger.check(DISK)
    ledger.opened(5)


def given_out_again(ledger: Ledger) -> None:
    ledger.check(DISK)
    ledger.acknowledge(6, [])


STORIES: dict[str, tuple[Callable[[Ledger], None], str]] = {
    "a watcher missed a revision": (missed, "watcher all after revision 1: missed .*pods/a"),
    "a watcher was sent something twice": (twice, "watcher all"),
    "a watcher missed a key of a revision": (half_a_revision, "watcher all .* missed .*pods/b"),
    "a watcher was sent revisions out of order": (out_of_order, "watcher all"),
    "a watcher was sent what it had": (lambda ledger: ledger.see("all", LOG[:1]), "was at revision 3"),
    "a watcher was sent another value": (lambda ledger: ledger.see("all", [Row(4, A, "x")]), "was 3 and is x"),
    "a watcher was sent more than was acknowledged": (lambda ledger: ledger.see("all", [Row(4, C, "x")]), "but there is"),
    "a revision was acknowledged twice": (lambda ledger: ledger.acknowledge(5, [(B, "x")]), "revision 5 was given out again"),
    "the store was opened at an older revision": (opened_too_early, "opened at revision 5"),
    "a revision was given out before": (given_out_again, "given out again"),
}


@pytest.mark.parametrize("name", STORIES)
def test_it_finds_in_what_is_told_that(name: str) -> None:
    story, complaint = STORIES[name]
    with pytest.raises(Broken, match=complaint):
        story(told())


def test_a_value_that_is_not_whole_has_another_tag() -> None:
    value = value_of("1.2.3")
    assert tag_of(value) == "1.2.3" and tag_of(None) is None
    for spoilt in (value[:-1], value[:50] + b"x" + value[51:], b"", value + b"0", value_of("1.2.4")[:6] + value[6:]):
        assert str(tag_of(spoilt)).startswith("torn:")
