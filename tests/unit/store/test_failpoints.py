"""Failpoints: nothing unless armed, at the passing they are armed for, and no silence about a name that is none."""

from __future__ import annotations

import pytest

from steersman.store import failpoints


@pytest.mark.parametrize("environ", [{}, {failpoints.VARIABLE: ""}])
def test_unarmed_there_is_nothing_to_call(environ: dict[str, str]) -> None:
    assert failpoints.armed(environ) is None


def test_a_point_kills_at_the_passing_it_is_armed_for(monkeypatch: pytest.MonkeyPatch) -> None:
    kills: list[str] = []
    monkeypatch.setattr(failpoints, "_die", lambda: kills.append("killed"))
    passed = failpoints.armed({failpoints.VARIABLE: "beforeCommit=kill@3;beforeBegin=kill"})
    assert passed is not None
    seen = []
    for point in ("beforeCommit", "beforeAcknowledge", "beforeCommit", "beforeCommit", "beforeBegin"):
        passed(point)
        seen.append(len(kills))
    assert seen == [0, 0, 0, 1, 2]


@pytest.mark.parametrize("terms", ["beforeCommmit=kill", "beforeCommit", "beforeCommit=panic", "beforeCommit=kill;"])
def test_a_term_that_arms_nothing_is_refused(terms: str) -> None:
    with pytest.raises(ValueError, match="is none of beforeBegin, "):
        failpoints.armed({failpoints.VARIABLE: terms})
