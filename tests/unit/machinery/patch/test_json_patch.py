"""JSON patch."""

from __future__ import annotations

import copy
from typing import Any

import jsonpatch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steersman.machinery.errors import BadRequest, RequestEntityTooLarge
from steersman.machinery.patch import json_patch
from steersman.machinery.patch.errors import PatchRejected

Op = dict[str, Any]


@pytest.mark.parametrize(
    ("doc", "ops", "result"),
    [
        ({"a": 1}, [{"op": "add", "path": "/b", "value": 2}], {"a": 1, "b": 2}),
        ({"a": 1}, [{"op": "add", "path": "/a", "value": 2}], {"a": 2}),
        ({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}], {"a": [1, 2]}),
        ({"a": [1, 2]}, [{"op": "add", "path": "/a/1", "value": 9}], {"a": [1, 9, 2]}),
        ({"a": [1, 2]}, [{"op": "add", "path": "/a/-1", "value": 9}], {"a": [1, 2, 9]}),
        ({"a": [1, 2]}, [{"op": "remove", "path": "/a/-1"}], {"a": [1]}),
        ({"a": [1, 2]}, [{"op": "replace", "path": "/a/0", "value": 3}], {"a": [3, 2]}),
        ({"a/b": {"c~d": 1}}, [{"op": "remove", "path": "/a~1b/c~0d"}], {"a/b": {}}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 1}}], {"b": 1}),
        ({"a": {"x": 1}}, [{"op": "copy", "from": "/a", "path": "/b"}, {"op": "add", "path": "/b/y", "value": 2}],
         {"a": {"x": 1}, "b": {"x": 1, "y": 2}}),
        ({"a": {"x": 1}}, [{"op": "move", "from": "/a/x", "path": "/y"}], {"a": {}, "y": 1}),
        ({"a": 1}, [{"op": "test", "path": "/missing", "value": None}], {"a": 1}),
    ],
)  # fmt: skip
def test_operations(doc: Any, ops: list[Op], result: Any) -> None:
    before = copy.deepcopy(doc)
    assert json_patch.apply(doc, ops) == result
    assert doc == before


@pytest.mark.parametrize(
    ("op", "why"),
    [
        ({"op": "add", "path": "/x/y", "value": 1}, 'add operation does not apply: doc is missing path: "/x/y": missing value'),
        ({"op": "replace", "path": "/x", "value": 1}, "replace operation does not apply: doc is missing key: /x: missing value"),
        (
            {"op": "remove", "path": "/x"},
            "error in remove for path: '/x': Unable to remove nonexistent key: x: missing value",
        ),
        (
            {"op": "add", "path": "/l/3", "value": 1},
            "error in add for path: '/l/3': Unable to access invalid index: 3: invalid index referenced",
        ),
        ({"op": "test", "path": "/a", "value": True}, "testing value /a failed: test failed"),
        ({"op": "test", "path": "/x/y", "value": 1}, "test operation does not apply: is missing path: /x/y: missing value"),
        ({"op": "frob", "path": "/a"}, "Unexpected kind: frob"),
    ],
)
def test_a_failed_operation_is_422_with_a_hidden_cause(op: Op, why: str) -> None:
    doc = {"a": 1, "l": [1]}
    with pytest.raises(PatchRejected) as caught:
        json_patch.apply(doc, [{"op": "add", "path": "/a", "value": 1}, op])
    assert caught.value.why == why
    assert caught.value.status() == {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Invalid", "code": 422,
        "message": "the server rejected our request due to an error in our request", "details": {},
    }  # fmt: skip
    assert doc == {"a": 1, "l": [1]}


def test_limits() -> None:
    with pytest.raises(RequestEntityTooLarge, match="maximum operations in a JSON patch is 10000, got 10001"):
        json_patch.decode(b"[" + b",".join([b'{"op":"test","path":"/a"}'] * 10001) + b"]")
    with pytest.raises(BadRequest):
        json_patch.decode(b'{"op":"add"}')
    doc = {"a": "x" * 2_000_000}
    with pytest.raises(PatchRejected) as caught:
        json_patch.apply(doc, [{"op": "copy", "from": "/a", "path": "/b"}, {"op": "copy", "from": "/a", "path": "/c"}])
    assert "the accumulated size increase of copy is 4000004, exceeding the limit 3145728" in caught.value.why


_values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["x", "y"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
_docs = st.dictionaries(st.sampled_from("abc"), _values, max_size=3)


@settings(max_examples=150)
@given(_docs, _docs)
def test_patches_made_by_another_library_apply_alike(a: Any, b: Any) -> None:
    ops = jsonpatch.make_patch(a, b).patch
    assert json_patch.apply(a, ops) == b


_paths = st.lists(st.sampled_from(["a", "b", "c", "0", "1", "-"]), min_size=1, max_size=3).map(
    lambda parts: "/" + "/".join(parts)
)
_ops = st.one_of(
    st.builds(lambda p, v: {"op": "add", "path": p, "value": v}, _paths, _values),
    st.builds(lambda p: {"op": "remove", "path": p}, _paths),
    st.builds(lambda p, v: {"op": "replace", "path": p, "value": v}, _paths, _values),
    st.builds(lambda p, q: {"op": "copy", "from": p, "path": q}, _paths, _paths),
)


@settings(max_examples=200)
@given(_docs, st.lists(_ops, min_size=1, max_size=4))
def test_what_another_library_accepts_we_do_alike(doc: Any, ops: list[Op]) -> None:
    try:
        expected = jsonpatch.apply_patch(doc, ops)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError):
        return
    before = copy.deepcopy(doc)
    assert json_patch.apply(doc, ops) == expected
    assert doc == before
