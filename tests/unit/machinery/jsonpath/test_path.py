"""JSONPath as printer columns use it."""

from __future__ import annotations

from typing import Any

import pytest

from steersman.machinery.jsonpath.path import Path, text_of
from steersman.machinery.meta import Obj

OBJ: Obj = {
    "metadata": {"name": "web", "labels": {"app.kubernetes.io/name": "web", "b": "2"}},
    "spec": {"replicas": 3, "ports": [{"name": "http", "port": 80}, {"name": "https", "port": 443}], "on": True},
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Live", "status": "False"}]},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".metadata.name", ["web"]),
        ("{.metadata.name}", ["web"]),
        ("$.metadata.name", ["web"]),
        ("metadata.name", ["web"]),
        (".metadata['name']", ["web"]),
        (r".metadata.labels.app\.kubernetes\.io/name", ["web"]),
        (r".metadata.labels['app\.kubernetes\.io/name']", ["web"]),
        (".spec.missing.deeper", []),
        (".metadata.name.deeper", []),
        (".spec.ports[0].port", [80]),
        (".spec.ports[-1].port", [443]),
        (".spec.ports[7].port", []),
        (".spec.ports[*].name", ["http", "https"]),
        (".spec.ports[0:1].name", ["http"]),
        (".spec.ports[::2].name", ["http"]),
        (".spec.ports[0,1].port", [80, 443]),
        (".metadata.labels.*", ["web", "2"]),
        (".status.conditions[?(@.type=='Ready')].status", ["True"]),
        ('.status.conditions[?(@.type == "Live")].status', ["False"]),
        (".spec.ports[?(@.port > 80)].name", ["https"]),
        (".spec.ports[?(@.port <= 80)].name", ["http"]),
        (".spec.ports[?(@.port != 80)].name", ["https"]),
        (".spec.ports[?(@.name)].port", [80, 443]),
        (".spec.ports[?(@.other)].port", []),
        ("..port", [80, 443]),
        (".spec.ports[::0].port", []),
    ],
)
def test_a_path_finds_what_is_there(path: str, found: list[Any]) -> None:
    assert Path(path).find(OBJ) == found


@pytest.mark.parametrize("path", [".spec[", ".spec[a]", ".spec[1:2:3:4]"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError):
        Path(path)


def test_values_of_different_types_are_not_compared() -> None:
    assert Path("[?(@.x == 1)]").find([{"x": 1}, {"x": 2}]) == [{"x": 1}]
    assert Path("[?(@.x == 1)]").find([{"x": "1"}, {"x": 1}]) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (3, "3"), (3.0, "3"), (2.5, "2.5"), (True, "true"), ({"a": [1]}, '{"a":[1]}'), (["x", 1], '["x",1]')],
)
def test_values_print_as_upstream_prints_them(value: Any, text: str) -> None:
    assert text_of(value) == text
