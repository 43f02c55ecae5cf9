"""Strategic merge patch, applied and made."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steersman.machinery.errors import BadRequest, StatusError
from steersman.machinery.patch import strategic
from steersman.machinery.patch.errors import PatchFailed, PatchRejected
from steersman.machinery.patch.strategic_diff import ApplyConflict


@dataclass(frozen=True)
class Meta:
    """Metadata written by hand: a keyed list, a set of scalars, plain and special maps."""

    strategy: frozenset[str] = frozenset()
    merge_key: str = ""
    is_list: bool = False
    fields: Mapping[str, Meta] = field(default_factory=dict)
    element: Meta | None = None

    def field(self, name: str) -> Meta | None:
        return self.fields.get(name)

    def items(self) -> Meta | None:
        return self.element


_MERGE = frozenset({"merge"})
_LEAF = Meta()
_ITEM = Meta(fields={"k": _LEAF, "v": _LEAF, "tags": Meta(_MERGE, is_list=True, element=_LEAF), "m": Meta(fields={"x": _LEAF})})
ROOT = Meta(
    fields={
        "keyed": Meta(_MERGE, "k", True, element=_ITEM),
        "volumes": Meta(frozenset({"merge", "retainKeys"}), "k", True, element=_ITEM),
        "set": Meta(_MERGE, is_list=True, element=_LEAF),
        "atomic": Meta(is_list=True, element=_LEAF),
        "map": Meta(fields={"a": _LEAF, "b": _LEAF}),
        "retain": Meta(frozenset({"retainKeys"})),
        "replace": Meta(frozenset({"replace"})),
        "nokey": Meta(_MERGE, is_list=True, element=_ITEM),
    }
)
_A_B = [{"k": "a", "v": 1}, {"k": "b"}]


@pytest.mark.parametrize(
    ("live", "patch", "result"),
    [
        ({"keyed": _A_B}, {"keyed": [{"k": "b", "v": 2}, {"k": "c"}]},
         {"keyed": [{"k": "a", "v": 1}, {"k": "b", "v": 2}, {"k": "c"}]}),
        ({"keyed": _A_B}, {"keyed": [{"k": "a", "$patch": "delete"}]}, {"keyed": [{"k": "b"}]}),
        ({"keyed": _A_B}, {"keyed": [{"k": "c"}, {"$patch": "replace"}]}, {"keyed": [{"k": "c"}]}),
        ({"keyed": _A_B}, {"keyed": [{"k": "c"}], "$setElementOrder/keyed": [{"k": "c"}, {"k": "a"}]},
         {"keyed": [{"k": "c"}, {"k": "a", "v": 1}, {"k": "b"}]}),
        ({"keyed": _A_B}, {"$setElementOrder/keyed": [{"k": "b"}, {"k": "a"}]}, {"keyed": [{"k": "b"}, {"k": "a", "v": 1}]}),
        ({"map": {"a": 1, "b": 2}}, {"map": {"b": None, "c": 3}}, {"map": {"a": 1, "c": 3}}),
        ({"retain": {"a": 1, "b": 2}}, {"retain": {"$retainKeys": ["b"], "b": 2}}, {"retain": {"b": 2}}),
        ({"set": ["x", "y"]}, {"set": ["z"], "$deleteFromPrimitiveList/set": ["x"]}, {"set": ["z", "y"]}),
        ({"set": ["x", "y"]}, {"set": ["y", "x", "z"], "$setElementOrder/set": ["y", "x", "z"]}, {"set": ["y", "x", "z"]}),
        ({"map": {"a": 1}}, {"map": {"$patch": "replace", "b": 2}}, {"map": {"b": 2}}),
        ({"map": {"a": 1}}, {"map": {"$patch": "delete"}}, {"map": {}}),
        ({"atomic": [1, 2]}, {"atomic": [3]}, {"atomic": [3]}),
        ({"replace": {"a": 1}}, {"replace": {"b": 2, "$patch": "replace"}}, {"replace": {"b": 2}}),
        ({}, {"map": {"a": None, "b": 1, "c": {"$patch": "delete"}}}, {"map": {"b": 1}}),
        ({}, {"keyed": [{"k": "a"}, {"k": "b", "$patch": "delete"}]}, {"keyed": [{"k": "a"}]}),
        ({"map": {"a": {"x": 1}}}, {"map": {"a": "text"}}, {"map": {"a": "text"}}),
        ({"unknown": {"a": 1, "l": [1]}}, {"unknown": {"b": 2, "l": [2]}}, {"unknown": {"a": 1, "b": 2, "l": [2]}}),
    ],
)  # fmt: skip
def test_vectors(live: Any, patch: Any, result: Any) -> None:
    before = copy.deepcopy((live, patch))
    assert strategic.apply(live, patch, ROOT) == result
    assert (live, patch) == before


@pytest.mark.parametrize(
    ("live", "order", "result"),
    [("abc", "ax", "axbc"), ("abc", "xb", "xabc"), ("abc", "c", "abc"), ("ab", "ba", "ba"), ("", "ab", "ab"), ("ab", "", "ab")],
)
def test_items_of_the_server_stay_before_what_followed_them(live: str, order: str, result: str) -> None:
    patch: dict[str, Any] = {"keyed": [{"k": key} for key in order if key not in live]}
    patch["$setElementOrder/keyed"] = [{"k": key} for key in order]
    made = strategic.apply({"keyed": [{"k": key} for key in live]}, patch, ROOT)
    assert "".join(item["k"] for item in made["keyed"]) == result


@pytest.mark.parametrize(
    ("patch", "error", "code", "text"),
    [
        ({"keyed": [{"v": 1}]}, PatchFailed, 500, "map: map[v:1] does not contain declared merge key: k"),
        ({"map": {"$patch": "frob"}}, PatchFailed, 500, "unknown patch type: frob in map: map[$patch:frob]"),
        ({"keyed": [{"k": "a", "$patch": "merge"}]}, PatchFailed, 500, "merging lists cannot yet be specified in the patch"),
        ({"$setElementOrder/keyed": {"k": 1}}, BadRequest, 400, "invalid patch format of setElementOrder list"),
        ({"map": {"$retainKeys": "a"}}, BadRequest, 400, "invalid patch format of retainKeys"),
        ({"$deleteFromPrimitiveList/set": "x"}, BadRequest, 400, "invalid patch format of primitive list"),
        (
            {"map": {"$retainKeys": ["a"], "b": 1}},
            PatchRejected,
            422,
            "the server rejected our request due to an error in our request",
        ),
        ({"set": [["x"]]}, PatchRejected, 422, "the server rejected our request due to an error in our request"),
        ({"set": [{"x": 1}]}, PatchFailed, 500, "list element types are not identical: string, map[string]interface {}"),
        ({"nokey": [{"x": 1}]}, PatchFailed, 500, "cannot merge lists without merge key for []interface {}"),
        (
            {"$setElementOrder/keyed": [{"k": "c"}, {"k": "a"}], "keyed": [{"k": "a"}, {"k": "c"}]},
            PatchFailed,
            500,
            "The order in patch list:\n[map[k:a] map[k:c]]\n doesn't match $setElementOrder list:\n[map[k:c] map[k:a]]\n",
        ),
        (
            {"$setElementOrder/map": [1]},
            PatchFailed,
            500,
            "expected a []interface {}, but received a map[string]interface {}",
        ),
    ],
)
def test_a_bad_patch_fails_in_upstreams_words(patch: Any, error: type[StatusError], code: int, text: str) -> None:
    live = {"keyed": _A_B, "map": {"a": 1}, "set": ["x"], "nokey": [{"x": 1}]}
    with pytest.raises(error) as caught:
        strategic.apply(live, patch, ROOT)
    assert (caught.value.code, caught.value.message) == (code, text)


@pytest.mark.parametrize(
    ("a", "b", "patch"),
    [
        (
            {"keyed": [{"k": "a", "v": 1}, {"k": "b"}]},
            {"keyed": [{"k": "c"}, {"k": "a", "v": 2}]},
            {
                "keyed": [{"k": "c"}, {"v": 2, "k": "a"}, {"$patch": "delete", "k": "b"}],
                "$setElementOrder/keyed": [{"k": "c"}, {"k": "a"}],
            },
        ),
        ({"set": [1, 2]}, {"set": [2, 3]}, {"set": [3], "$deleteFromPrimitiveList/set": [1], "$setElementOrder/set": [2, 3]}),
        ({"retain": {"a": 1, "b": 1}}, {"retain": {"b": 2}}, {"retain": {"a": None, "b": 2, "$retainKeys": ["b"]}}),
        ({"replace": {"a": 1}}, {"replace": {"b": 1}}, {"replace": {"b": 1, "$patch": "replace"}}),
        ({"atomic": [1]}, {"atomic": [2]}, {"atomic": [2]}),
        ({"keyed": _A_B}, {"keyed": _A_B}, {}),
    ],
)
def test_differences(a: Any, b: Any, patch: Any) -> None:
    assert strategic.diff(a, b, ROOT) == patch


def test_three_way_keeps_what_only_the_server_has() -> None:
    original = {"keyed": [{"k": "a", "v": 1}, {"k": "b"}], "map": {"a": 1}}
    modified = {"keyed": [{"k": "a", "v": 2}], "map": {"a": 1}}
    current = {"keyed": [{"k": "a", "v": 1, "m": {"x": 9}}, {"k": "b"}, {"k": "side"}], "map": {"a": 1, "b": 5}}
    patch = strategic.three_way(original, modified, current, ROOT)
    assert patch == {
        "keyed": [{"k": "a", "v": 2}, {"$patch": "delete", "k": "b"}],
        "$setElementOrder/keyed": [{"k": "a"}],
    }
    made = strategic.apply(current, patch, ROOT)
    assert made == {"keyed": [{"k": "a", "v": 2, "m": {"x": 9}}, {"k": "side"}], "map": {"a": 1, "b": 5}}
    assert strategic.three_way(modified, modified, modified, ROOT) == {}


def test_three_way_without_overwrite_refuses_a_changed_field() -> None:
    with pytest.raises(ApplyConflict, match="conflicts with changes made from original to current"):
        strategic.three_way({"map": {"a": 1}}, {"map": {"a": 2}}, {"map": {"a": 3}}, ROOT, overwrite=False)
    patch = strategic.three_way({"map": {"a": 1}}, {"map": {"a": 2}}, {"map": {"a": 1, "b": 3}}, ROOT, overwrite=False)
    assert patch == {"map": {"a": 2}}


_scalar = st.integers(0, 2) | st.sampled_from(["x", "y"])
_plain = st.dictionaries(st.sampled_from("abc"), _scalar, max_size=3)
_element = st.fixed_dictionaries(
    {}, optional={"v": _scalar, "tags": st.lists(st.sampled_from("pqr"), unique=True, max_size=3), "m": _plain}
)
_keyed = st.lists(st.tuples(st.sampled_from("abcde"), _element), unique_by=lambda pair: pair[0], max_size=4).map(
    lambda pairs: [{"k": key, **value} for key, value in pairs]
)
_docs = st.fixed_dictionaries(
    {},
    optional={
        "keyed": _keyed, "volumes": _keyed, "set": st.lists(st.sampled_from("pqrs"), unique=True, max_size=4),
        "atomic": st.lists(_scalar, max_size=3), "map": _plain, "retain": _plain, "replace": _plain, "free": _plain,
    },
)  # fmt: skip


@settings(max_examples=300)
@given(_docs, _docs)
def test_a_difference_applied_gives_the_other_object(a: Any, b: Any) -> None:
    before = copy.deepcopy((a, b))
    patch = strategic.diff(a, b, ROOT)
    assert strategic.apply(a, patch, ROOT) == b
    assert strategic.diff(b, b, ROOT) == {}
    assert (a, b) == before


@settings(max_examples=150)
@given(_docs, _docs)
def test_three_way_from_the_live_object_equals_two_way(a: Any, b: Any) -> None:
    assert strategic.apply(a, strategic.three_way(a, b, a, ROOT), ROOT) == b


@settings(max_examples=150)
@given(_docs, _docs)
def test_a_patch_without_directives_is_idempotent(live: Any, patch: Any) -> None:
    once = strategic.apply(live, patch, ROOT)
    assert strategic.apply(once, patch, ROOT) == once
