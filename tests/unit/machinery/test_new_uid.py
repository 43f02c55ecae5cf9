"""The uid of a new object: a version 4 UUID in upstream's spelling, never the same twice."""

from __future__ import annotations

import uuid

from steersman.machinery.meta import new_uid


def test_a_uid_is_a_random_uuid() -> None:
    made = [new_uid() for _ in range(200)]
    parsed = [uuid.UUID(text) for text in made]
    assert [str(each) for each in parsed] == made and len(set(made)) == 200
    assert {(each.version, each.variant) for each in parsed} == {(4, uuid.RFC_4122)}
