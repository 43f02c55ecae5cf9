"""The uid of a new object: a version 4 UUID in upstream's spelling, never the same twice."""

from __future__ import annotations

import subprocess
import sys
import uuid

from steersman.machinery.meta import new_uid


def test_a_uid_is_a_random_uuid() -> None:
    made = [new_uid() for _ in range(200)]
    parsed = [uuid.UUID(text) for text in made]
    assert [str(each) for each in parsed] == made and len(set(made)) == 200
    assert {(each.version, each.variant) for each in parsed} == {(4, uuid.RFC_4122)}


_FORKS = r"""
import os
from steersman.machinery.meta import new_uid
new_uid()
child = os.fork()
os.write(1, "".join(new_uid() + "\n" for _ in range(50)).encode())
if child:
    os.waitpid(child, 0)
"""


def test_a_forked_process_draws_others() -> None:
    said = subprocess.run([sys.executable, "-c", _FORKS], capture_output=True, text=True, check=True).stdout.split()
    assert len(said) == len(set(said)) == 100
