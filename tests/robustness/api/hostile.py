"""What no honest client sends: texts, numbers, shapes, and good objects of which parts were exchanged for them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from steersman.machinery.meta import Obj

TEXTS = (
    [
        "",
        " ",
        "a",
        "A",
        "-",
        "a-b",
        "a.b",
        "a/b",
        "a/b/c",
        "-a",
        "a_",
        "x" * 64,
        "x" * 300,
        "0",
        "-1",
        "1e3",
        "\x00",
        "\n",
        "\t",
        "\x7f",
    ]
    + [
        "é",
        "\u00b2",
        "\u0663",
        "\u202e",
        "\ufeff",
        "\U0001f600",
        "e\u0301",
        "..",
        "../x",
        "/",
        "//",
        "/a/../b",
        "a b",
        "a:b",
        "a=b",
        "@",
    ]
    + [
        "%",
        "%2F",
        "100%",
        "-5%",
        "999999999999999999999%",
        "1Gi",
        "1e999999",
        "1e-999999",
        "9" * 400,
        "0x10",
        "1_0",
        "NaN",
        "inf",
        "true",
    ]
    + [
        "null",
        "{}",
        "[]",
        "*",
        "*.*",
        "*.a.b",
        "10.0.0.1",
        "10.0.0.0/8",
        "010.0.0.1",
        "::1",
        "fe80::1%eth0",
        "::ffff:1.2.3.4",
        "1.2.3.4/99",
    ]
    + ["http://x", "https://[::1", "//x", "2024-01-01T00:00:00Z", "2024-01-01T00:00:00.000001Z", "0001-01-01T00:00:00Z"]
    + [
        "9999-12-31T23:59:59Z",
        "2024-02-30T00:00:00Z",
        "1h",
        "-1h",
        "999999999h",
        "0 0 * * *",
        "*/0 * * * *",
        "0 0 31 2 *",
        "@every 1s",
    ]
    + [
        "TZ=X 0 0 * * *",
        "../../etc/passwd",
        "$(A)",
        "$(",
        "$$(A)",
        "a in (b",
        "!",
        "metadata.name",
        "metadata.labels['a']",
        ".a[",
        "{.a}",
    ]
    + [
        "Always",
        "Never",
        "In",
        "Exists",
        "TCP",
        "ClusterIP",
        "ExternalName",
        "None",
        "RollingUpdate",
        "Delete",
        "v1",
        "apps/v1",
        "default",
    ]
    + ["kubernetes.io/x", "system:masters", "(a+)+$", "((a{100}){100}){100}", "[", "self.x", "object.x.all(i, true)", "'" * 9]
)
NUMBERS = [
    0,
    1,
    -1,
    2,
    80,
    65535,
    65536,
    2**31 - 1,
    2**31,
    -(2**31),
    2**53 + 1,
    2**63 - 1,
    -(2**63),
    2**64 - 1,
    1.5,
    -0.0,
    1e300,
    5e-324,
]
SHAPES: list[Any] = [None, True, [], {}, [None], [[]], [{}], {"": None}, {"a": []}, {"a": {"b": {}}}, "a", 1]
PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.sampled_from(NUMBERS) | st.sampled_from(TEXTS) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(TEXTS), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a value but its root."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(item, (*path, key))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def pointer(path: tuple[Any, ...]) -> str:
    """As JSON patch writes it."""
    return "".join(f"/{str(key).replace('~', '~0').replace('/', '~1')}" for key in path)


@st.composite
def _in_place_of(draw: st.DrawFn, value: Any) -> Any:
    """Something else: mostly of the same type, as only that gets past the schema."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from(SHAPES) | ANY_JSON)
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return draw(st.sampled_from(TEXTS))
    if isinstance(value, int | float):
        return draw(st.sampled_from(NUMBERS))
    if isinstance(value, list):
        longer: list[Any] = [value * 2, value[:1] * 40, value[1:], [*value, {}], []]
        return copy.deepcopy(draw(st.sampled_from(longer)))
    if isinstance(value, dict) and value:
        key = draw(st.sampled_from(sorted(value)))
        changed = [{**value, draw(st.sampled_from(TEXTS)): value[key]}, {name: value[name] for name in value if name != key}, {}]
        return draw(st.sampled_from(changed))
    return draw(st.sampled_from(SHAPES))


@st.composite
def spoiled(draw: st.DrawFn, good: Obj, most: int = 4) -> Obj:
    """A good object with up to so many places exchanged. apiVersion and kind are left alone."""
    obj = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, most))):
        found = [path for path in places(obj) if path[0] not in ("apiVersion", "kind")]
        if not found:
            break
        path = draw(st.sampled_from(found))
        # Shapes are shared by all examples, and this one may be changed further.
        at(obj, path[:-1])[path[-1]] = copy.deepcopy(draw(_in_place_of(at(obj, path))))
    return obj


@st.composite
def operations(draw: st.DrawFn, obj: Obj) -> list[Any]:
    """A JSON patch, with operations that fit the object and others that do not."""
    known = [pointer(path) for path in places(obj)] or [""]
    paths = st.sampled_from(known) | st.sampled_from(
        ["", "/", "a", "/a~2", "/metadata/finalizers/-", "/spec/containers/01", "/x/" + "9" * 30]
    )
    made: list[Any] = []
    for _ in range(draw(st.integers(1, 5))):
        name = draw(st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x"]))
        made.append({"op": name, "path": draw(paths), "from": draw(paths), "value": draw(ANY_JSON)})
    return made


@st.composite
def directed(draw: st.DrawFn, obj: Obj) -> Obj:
    """A strategic merge patch with directives of all kinds at wrong places."""
    patch = copy.deepcopy(obj)
    maps = [path for path in places(patch) if isinstance(at(patch, path), dict)]
    for path in draw(st.lists(st.sampled_from(maps or [()]), min_size=1, max_size=3)):
        place = at(patch, path)
        if not isinstance(place, dict):
            continue
        inner = draw(st.sampled_from(sorted(place) or ["a"]))
        key = draw(
            st.sampled_from(["$patch", "$retainKeys", f"$setElementOrder/{inner}", f"$deleteFromPrimitiveList/{inner}", "$x"])
        )
        place[key] = draw(st.sampled_from(["replace", "merge", "delete", "x", None, [], ["a"], [{}], [{"name": "c"}], {}, 1]))
    return patch
