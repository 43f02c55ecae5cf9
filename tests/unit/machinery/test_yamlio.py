"""YAML as Go reads and writes it."""

from __future__ import annotations

from typing import Any

import pytest

from steersman.machinery import yamlio


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("010", 8), ("0o14", 12), ("0x1F", 31), ("0b11", 3), ("1e3", 1000), ("1.5", 1.5), ("1_000", 1000), ("-7", -7),
        ("yes", True), ("Off", False), ("y", True), ("true", True), ("~", None), ("", None), ("null", None),
        ("12:30:45", "12:30:45"), ("2024-01-02", "2024-01-02"), ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
        ("'1'", "1"), ('"yes"', "yes"), ("!!str 1", "1"), ("1.2.3", "1.2.3"), ("08", 8), ("=", "="), ("+1", 1), ("1m", "1m"),
        ("-", [None]),
    ],
)  # fmt: skip
def test_scalars(scalar: str, value: Any) -> None:
    loaded = yamlio.load(f"a: {scalar}" if scalar != "-" else "a:\n-")
    assert loaded == {"a": value}
    assert type(loaded["a"]) is type(value)


def test_keys_become_strings_and_merges_do_not_override() -> None:
    text = "base: &b {x: 1, z: 2}\n1: a\ny: b\nuse:\n  <<: *b\n  z: 3\n"
    assert yamlio.load(text) == {"base": {"x": 1, "z": 2}, "1": "a", "true": "b", "use": {"x": 1, "z": 3}}


def test_documents_are_separated() -> None:
    assert yamlio.load_all("a: 1\n---\n---\nb: 2\n") == [{"a": 1}, None, {"b": 2}]
    assert yamlio.load(b"") is None


def test_duplicates_are_reported_and_the_last_wins() -> None:
    found: list[str] = []
    assert yamlio.load("a: 1\nb:\n  c: 1\n  c: 2\n", found) == {"a": 1, "b": {"c": 2}}
    assert found == ['line 4: key "c" already set in map']


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a: b: c", "yaml: mapping values are not allowed in this context"),
        ("a: 1\nb: c: d", "yaml: line 2: mapping values are not allowed in this context"),
        ("a: *x", "yaml: unknown anchor 'x' referenced"),
        ("a:\n\t- b", "yaml: line 2: found character that cannot start any token"),
    ],
)
def test_bad_text_fails_in_gos_words(text: str, error: str) -> None:
    with pytest.raises(ValueError) as caught:
        yamlio.load(text)
    assert str(caught.value) == error


def test_dumped_text_reads_as_kubectl_prints() -> None:
    obj = {
        "metadata": {"name": "web", "creationTimestamp": "2024-01-02T03:04:05Z", "labels": {"a": "1", "b": "yes"}},
        "apiVersion": "v1",
        "list": [{"b": 1, "a": None}, []],
        "empty": {},
        "text": "one\ntwo\n",
        "odd": "a: b",
        "on": True,
        "item10": 1.5,
        "item2": "12:30",
    }
    text = yamlio.dump(obj)
    assert text == (
        'apiVersion: v1\nempty: {}\nitem2: "12:30"\nitem10: 1.5\nlist:\n- a: null\n  b: 1\n- []\nmetadata:\n'
        '  creationTimestamp: "2024-01-02T03:04:05Z"\n  labels:\n    a: "1"\n    b: "yes"\n  name: web\n'
        "odd: 'a: b'\n\"on\": true\ntext: |\n  one\n  two\n"
    )
    assert yamlio.load(text) == obj


@pytest.mark.parametrize("text", ["1e999999", "-1e400", "9" * 400, "9" * 5000, "0x" + "f" * 5000, "0b" + "1" * 400])
def test_a_number_out_of_range_is_text(text: str) -> None:
    assert yamlio.load(f"a: {text}") == {"a": text}
