"""How deep JSON and YAML may be nested, and documents that grow when written out."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from steersman.machinery import depth, yamlio
from steersman.machinery.errors import BadRequest
from steersman.machinery.patch import json_patch, merge, strategic
from steersman.machinery.patch.errors import PatchRejected


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


@pytest.mark.parametrize(("levels", "told"), [(0, False), (1, False), (200, False), (201, True), (254, True), (900, True)])
def test_the_limit_is_exact(levels: int, told: bool) -> None:
    value = nested(levels)
    assert depth.exceeded(value) == told
    if levels > 254:
        return
    body = orjson.dumps(value)
    assert depth.exceeded_in(body, value) == told
    if told:
        with pytest.raises(depth.TooDeep, match="exceeded max depth"):
            depth.loads(body)
    else:
        assert depth.loads(body) == value


def test_many_brackets_are_no_levels() -> None:
    value = [{"a": [number]} for number in range(500)]
    assert depth.loads(orjson.dumps(value)) == value


@pytest.mark.parametrize("read", [merge.decode, strategic.decode, json_patch.decode])
def test_patches_are_bounded(read: Any) -> None:
    body = b'[{"a":' * 101 + b"1" + b"}]" * 101
    with pytest.raises(BadRequest, match="exceeded max depth"):
        read(body)


def test_operations_that_nest_a_part_in_itself_are_stopped() -> None:
    turn: list[dict[str, Any]] = [
        {"op": "add", "path": "/t", "value": {}},
        {"op": "move", "from": "/data", "path": "/t/data"},
        {"op": "move", "from": "/t", "path": "/data"},
    ]
    ops = turn * 1500
    with pytest.raises(BadRequest, match="exceeded max depth"):
        json_patch.apply({"data": {}}, [*ops, {"op": "copy", "from": "/data", "path": "/z"}])
    with pytest.raises(PatchRejected):
        json_patch.apply({"data": {}}, [*ops, {"op": "test", "path": "/data", "value": {"data": {}}}])


@pytest.mark.parametrize("levels", [1000, 6000, 200_000])
@pytest.mark.parametrize("form", ["{a: %}", "[%]", "- %", "? %"])
def test_yaml_is_bounded_however_it_is_written(form: str, levels: int) -> None:
    # 200,000 levels once overran the stack of the parser, and ended the process.
    before, after = form.split("%")
    with pytest.raises(yamlio.YAMLError, match="exceeded max depth"):
        yamlio.load(before * levels + "1" + after * levels)


def test_long_yaml_is_not_deep_yaml() -> None:
    text = "".join(f"- {{a: [{number}]}}\n" for number in range(4000))
    assert yamlio.load(text)[3999] == {"a": [3999]}


def test_aliases_may_not_make_a_document_grow() -> None:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{number}: &a{number} [{','.join([f'*a{number - 1}'] * 9)}]" for number in range(1, 10)]
    with pytest.raises(yamlio.YAMLError, match="yaml: document contains excessive aliasing"):
        yamlio.load("\n".join(lines))


def test_an_anchor_may_not_be_inside_itself() -> None:
    with pytest.raises(yamlio.YAMLError, match="yaml: anchor value contains itself"):
        yamlio.load("a: &a {b: [*a]}")


def test_aliases_as_people_use_them_are_fine() -> None:
    text = "base: &b {image: i, env: [{name: a, value: b}]}\nall:\n" + "".join(
        f"- {{<<: *b, name: c{n}}}\n- *b\n" for n in range(50)
    )
    found = yamlio.load(text)
    assert found["all"][1] == found["base"] and found["all"][0] == {**found["base"], "name": "c0"}
