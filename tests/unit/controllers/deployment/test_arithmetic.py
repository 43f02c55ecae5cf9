"""The numbers of a rollout."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steersman.controllers.deployment.arithmetic import Bounds, Size, bounds, new_size, proportional, shrink_old

BOUNDS = [
    ("defaults round surge up and unavailability down", 10, "25%", "25%", (3, 2)),
    ("one replica surges by one and is never missing", 1, "25%", "25%", (1, 0)),
    ("both nothing: one may be unavailable", 1, 0, "25%", (0, 1)),
    ("numbers stay", 10, 2, 1, (2, 1)),
    ("unavailability never exceeds the replicas", 3, 1, 5, (1, 3)),
    ("no replicas", 0, "25%", "25%", (0, 0)),
]


@pytest.mark.parametrize(("why", "replicas", "surge", "unavailable", "expected"), BOUNDS, ids=[case[0] for case in BOUNDS])
def test_bounds(why: str, replicas: int, surge: int | str, unavailable: int | str, expected: tuple[int, int]) -> None:
    found = bounds(replicas, surge, unavailable)
    assert (found.surge, found.unavailable) == expected


NEW = [
    ("fills the surge", Bounds(10, 3, 2), 0, 10, 3),
    ("never above the replicas", Bounds(10, 3, 2), 9, 11, 10),
    ("no room: stays", Bounds(10, 3, 2), 3, 13, 3),
    ("too large: shrinks", Bounds(5, 1, 1), 8, 8, 5),
    ("overfull: stays rather than shrinks", Bounds(10, 0, 1), 2, 14, 2),
]


@pytest.mark.parametrize(("why", "limits", "new", "total", "expected"), NEW, ids=[case[0] for case in NEW])
def test_new_size(why: str, limits: Bounds, new: int, total: int, expected: int) -> None:
    assert new_size(limits, new, total) == expected


OLD: list[tuple[str, Bounds, Size, list[Size], dict[str, int]]] = [
    ("room for unavailability at the start", Bounds(10, 3, 2), Size("new", 3), [Size("a", 10, 10)], {"a": 8}),
    ("nothing more until the new ones are available", Bounds(10, 3, 2), Size("new", 5), [Size("a", 8, 8)], {}),
    ("as many as became available", Bounds(10, 3, 2), Size("new", 5, 2), [Size("a", 8, 8)], {"a": 6}),
    (
        "unhealthy ones first, oldest first",
        Bounds(10, 3, 2),
        Size("new", 3),
        [Size("b", 5, 5, "2"), Size("a", 5, 3, "1")],
        {"a": 3},
    ),
    ("all at the end", Bounds(3, 1, 0), Size("new", 3, 3), [Size("a", 1, 1)], {"a": 0}),
    ("a status that lags counts only what the spec keeps", Bounds(10, 3, 2), Size("new", 3, 1), [Size("a", 8, 10)], {"a": 7}),
]


@pytest.mark.parametrize(("why", "limits", "new", "old", "expected"), OLD, ids=[case[0] for case in OLD])
def test_shrink_old(why: str, limits: Bounds, new: Size, old: list[Size], expected: dict[str, int]) -> None:
    assert shrink_old(limits, new, old) == expected


PROPORTIONAL: list[tuple[str, Bounds, list[Size], dict[str, int]]] = [
    (
        "grows in proportion",
        Bounds(20, 0, 0),
        [Size("a", 5, created="1", max_before=10), Size("b", 5, created="2", max_before=10)],
        {"a": 10, "b": 10},
    ),
    (
        "what rounding leaves goes to the largest",
        Bounds(7, 0, 0),
        [Size("a", 3, max_before=5), Size("b", 2, max_before=5)],
        {"a": 4, "b": 3},
    ),
    ("to nothing", Bounds(0, 0, 0), [Size("a", 3, max_before=5), Size("b", 2, max_before=5)], {"a": 0, "b": 0}),
    (
        "the newer of equals grows first",
        Bounds(5, 0, 0),
        [Size("a", 2, created="1", max_before=4), Size("b", 2, created="2", max_before=4)],
        {"a": 2, "b": 3},
    ),
    (
        "the older of equals shrinks first",
        Bounds(3, 0, 0),
        [Size("a", 2, created="1", max_before=4), Size("b", 2, created="2", max_before=4)],
        {"a": 1, "b": 2},
    ),
]


@pytest.mark.parametrize(("why", "limits", "active", "expected"), PROPORTIONAL, ids=[case[0] for case in PROPORTIONAL])
def test_proportional(why: str, limits: Bounds, active: list[Size], expected: dict[str, int]) -> None:
    assert proportional(limits, active, 0) == expected


SIZES = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=4)


@settings(derandomize=True, max_examples=200)
@given(st.integers(1, 20), st.integers(0, 5), st.integers(1, 5), SIZES)
def test_shrinking_never_goes_below_what_must_stay_available(
    replicas: int, surge: int, unavailable: int, pairs: list[tuple[int, int]]
) -> None:
    limits = bounds(replicas, surge, unavailable)
    sizes = [Size(str(index), spec, available) for index, (spec, available) in enumerate(pairs)]
    new, old = sizes[0], sizes[1:]
    shrunk = shrink_old(limits, new, old)
    before = sum(min(item.replicas, item.available) for item in sizes)
    after = min(new.replicas, new.available) + sum(min(shrunk.get(item.name, item.replicas), item.available) for item in old)
    assert after >= min(before, limits.least_available)
    assert all(0 <= size < {item.name: item.replicas for item in old}[name] for name, size in shrunk.items())


@settings(derandomize=True, max_examples=200)
@given(st.integers(0, 30), st.integers(0, 5), st.lists(st.integers(1, 20), min_size=2, max_size=4), st.integers(0, 5))
def test_proportional_scaling_reaches_the_allowed_total(replicas: int, surge: int, specs: list[int], slack: int) -> None:
    limits = Bounds(replicas, surge, 1)
    active = [Size(str(index), spec, max_before=sum(specs) + slack) for index, spec in enumerate(specs)]
    sizes = proportional(limits, active, 0)
    assert all(size >= 0 for size in sizes.values())
    assert sum(sizes.values()) == (limits.most if replicas else 0)
