"""fileKeyRef: the format of the files, and which files are read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from steersman.cri.interface import RuntimeFault
from steersman.kubelet import env, envfile
from steersman.machinery.meta import Obj

TEXT = """\
# made by the first container

A='1'
  B='two words' # and why
\t
C='several
 lines
# of it'
D= 'nothing'
E='$HOME "as it is" \\n'
EMPTY=''
A='again'
"""


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("A", "1"), ("B", "two words"), ("C", "several\n lines\n# of it"), ("D", ""), ("E", '$HOME "as it is" \\n'),
        ("EMPTY", ""), ("F", ""),
    ],
)  # fmt: skip
def test_values_are_literal(key: str, value: str) -> None:
    assert envfile.value_of(TEXT, key) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("A='1'\nnonsense\nKEY='x'", "at line 2"),
        ("='1'", "at line 1"),
        ("A ='1'", "at line 1"),
        ("A=1", "at line 1: value must be enclosed in single quotes"),
        ('\nA="1"', "at line 2: value must be enclosed in single quotes"),
        ("A='1\n2'3", "at line 2: unexpected content after closing quote"),
        ("A='1\n2", "starting at line 1: unclosed single quote"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_by_its_line(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        envfile.value_of(text, "KEY")


def test_what_stands_behind_the_key_does_not_matter() -> None:
    assert envfile.value_of("KEY='1'\nnonsense", "KEY") == "1"


def variables(volume: Path, **ref: object) -> dict[str, str]:
    whole: Obj = {"volumeName": "v", "path": "dir/file", "key": "A", **ref}
    pod: Obj = {"metadata": {"name": "web", "namespace": "ns", "uid": "u1"}, "spec": {}}
    sources = env.Sources(lambda name: None, lambda name: None, file=envfile.reader({"v": volume}))
    return env.environment(pod, {"name": "c", "env": [{"name": "X", "valueFrom": {"fileKeyRef": whole}}]}, sources)


def test_a_variable_comes_from_a_file_of_a_volume(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir/file").write_text(TEXT)
    assert variables(tmp_path) == {"X": "1"}
    assert variables(tmp_path, key="C") == {"X": "several\n lines\n# of it"}


@pytest.mark.parametrize("ref", [{"key": "F"}, {"key": "EMPTY"}, {"path": "dir/other"}], ids=["key", "empty", "file"])
def test_what_is_not_there_is_left_out_only_if_it_is_optional(tmp_path: Path, ref: dict[str, str]) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir/file").write_text(TEXT)
    assert variables(tmp_path, **ref, optional=True) == {}
    with pytest.raises(RuntimeFault, match="environment variable key .* not found in file") as caught:
        variables(tmp_path, **ref)
    assert caught.value.reason == "CreateContainerConfigError"


@pytest.mark.parametrize("kind", ["link", "folder link", "pipe", "folder", "long", "nonsense", "volume"])
def test_files_that_are_none_of_the_volume_are_not_read(tmp_path: Path, kind: str) -> None:
    volume, elsewhere = tmp_path / "volume", tmp_path / "elsewhere"
    for folder in (volume, elsewhere):
        folder.mkdir()
    (elsewhere / "file").write_text(TEXT)
    inner = volume / "dir"
    if kind == "folder link":
        inner.symlink_to(elsewhere)
    else:
        inner.mkdir()
    if kind == "link":
        (inner / "file").symlink_to(elsewhere / "file")
    elif kind == "pipe":
        os.mkfifo(inner / "file")
    elif kind == "folder":
        (inner / "file").mkdir()
    elif kind == "long":
        (inner / "file").write_text("#" * (envfile.MAX_BYTES + 1))
    elif kind == "nonsense":
        (inner / "file").write_bytes(b"\xff\0")
    named = "w" if kind == "volume" else "v"
    with pytest.raises(RuntimeFault, match="couldn't parse env file"):
        variables(volume, volumeName=named, optional=True)


def test_a_link_within_the_volume_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_text(TEXT)
    (tmp_path / "link").symlink_to("real")
    assert variables(tmp_path, path="link") == {"X": "1"}
