"""The checker of tests/e2e/writers.py: it must see what was lost, and allow for what nobody was told of."""

from __future__ import annotations

import pytest
from tests.e2e.writers import Key, Ledger

from steersman.machinery.meta import Obj


def there(name: str, value: str, version: int) -> Obj:
    return {"metadata": {"name": name, "resourceVersion": str(version)}, "data": {"value": value}}


def ledger() -> Ledger:
    """One key, written twice; a third write was not answered."""
    made = Ledger({"w": Key()})
    for version, value in ((5, "1"), (8, "2")):
        made.keys["w"].doubts.add(value)
        made.note("server", "w", value, version)
    made.keys["w"].doubts.add("3")
    return made


@pytest.mark.parametrize("found", [there("w", "2", 8), there("w", "3", 9)])
def test_what_was_acknowledged_last_or_asked_for_since_may_be_there(found: Obj) -> None:
    ledger().compare([found, there("somebody-elses", "x", 99)])


@pytest.mark.parametrize(
    "found", [[], [there("w", "1", 5)], [there("w", "2", 9)], [there("w", "3", 8)], [there("w", "4", 9)], [there("w", "1", 9)]]
)
def test_anything_else_is_a_lost_write(found: list[Obj]) -> None:
    with pytest.raises(AssertionError, match="known is"):
        ledger().compare(found)


def test_a_write_that_was_not_answered_cannot_be_made_after_the_next_was() -> None:
    made = ledger()
    made.keys["w"].doubts.add("4")
    made.note("server", "w", "4", 10)
    with pytest.raises(AssertionError):
        made.compare([there("w", "3", 11)])


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        ([(5, "w", "1"), (8, "w", "2"), (9, "w", "3")], ""),
        ([(8, "w", "2")], "1 acknowledged writes are lost"),
        ([(5, "w", "1"), (8, "w", "3")], "1 acknowledged writes are lost"),
        ([(8, "w", "2"), (5, "w", "1")], "twice, or out of order"),
        ([(5, "w", "1"), (5, "w", "1"), (8, "w", "2")], "twice, or out of order"),
    ],
)
def test_a_watch_has_to_show_each_acknowledged_write_once_and_in_order(shown: list[tuple[int, str, str]], told: str) -> None:
    if not told:
        ledger().check_shown(shown)
        return
    with pytest.raises(AssertionError, match=told):
        ledger().check_shown(shown)


@pytest.mark.parametrize(("version", "told"), [(5, "given out twice"), (7, "went from revision 8 to 7")])
def test_revisions_are_given_out_once_and_grow(version: int, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        ledger().note("server", "w", "3", version)
