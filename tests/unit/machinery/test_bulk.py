"""Bodies of very many values are refused before anything walks through them."""

from __future__ import annotations

import pytest

from steersman.machinery import bulk, depth, yamlio
from steersman.machinery.errors import RequestEntityTooLarge

MANY = bulk.MOST_VALUES + 10


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"{}," * MANY + b"{}]",
        b"[" + b"[]," * MANY + b"1]",
        b"[" + b"1," * MANY + b"1]",
        b'{"a":[' + b'"x,",' * MANY + b"1]}",
    ],
    ids=["objects", "lists", "numbers", "texts"],
)
def test_json_of_too_many_values_is_not_parsed(body: bytes) -> None:
    with pytest.raises(RequestEntityTooLarge, match="limit is 150000 values"):
        depth.loads(body)


def test_commas_in_texts_are_no_values() -> None:
    body = b'{"data":{"table":"' + b'a,\\"b{[' * MANY + b'"}}'
    assert len(depth.loads(body)["data"]["table"]) == 6 * MANY


@pytest.mark.parametrize(
    "text", ["[" + "{}," * MANY + "]", "- 1\n" * 2 * MANY, "".join(f"k{number}: 1\n" for number in range(MANY))]
)
def test_neither_is_such_yaml(text: str) -> None:
    with pytest.raises(RequestEntityTooLarge):
        yamlio.load(text, most=bulk.MOST_VALUES)


def test_a_long_text_in_yaml_is_one_value() -> None:
    loaded = yamlio.load("a: |\n" + "  - x, y\n" * MANY, most=bulk.MOST_VALUES)
    assert loaded["a"].count("\n") == MANY


def test_files_of_many_documents_have_no_such_limit() -> None:
    assert len(yamlio.load_all("a: 1\n---\n" * 1000)) >= 1000
