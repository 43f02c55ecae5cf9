"""The documents that clients are generated from are sound, and a generator would find the methods of the official client."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client as k8s

METHODS = ("get", "put", "post", "delete", "patch")
UNKNOWN_TO_THE_CLIENT = {"metrics", "metrics_v1beta1"}


def document(api: k8s.ApiClient, path: str) -> Any:
    request = api.param_serialize("GET", path, auth_settings=["BearerToken"], header_params={"Accept": "application/json"})
    response = api.call_api(*request)
    response.read()
    return json.loads(response.data)


def references(found: Any) -> Iterator[str]:
    if isinstance(found, dict):
        if isinstance(found.get("$ref"), str):
            yield found["$ref"]
        for value in found.values():
            yield from references(value)
    elif isinstance(found, list):
        for value in found:
            yield from references(value)


def resolves(whole: Any, reference: str) -> bool:
    place = whole
    for part in reference.removeprefix("#/").split("/"):
        if not isinstance(place, dict) or part not in place:
            return False
        place = place[part]
    return reference.startswith("#/")


def operations(whole: Any) -> Iterator[tuple[str, Any, Any]]:
    """Path, what its operations share, operation."""
    for path, item in whole["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, item, item[method]


def check(whole: Any) -> None:
    assert not [reference for reference in references(whole) if not resolves(whole, reference)]
    names = Counter(operation["operationId"] for _, _, operation in operations(whole))
    assert not [name for name, count in names.items() if count > 1]
    for path, item, operation in operations(whole):
        assert operation["responses"], path
        parameters = [(one["name"], one["in"]) for one in item.get("parameters", []) + operation.get("parameters", [])]
        assert len(set(parameters)) == len(parameters), path
        assert {name for name, place in parameters if place == "path"} == set(re.findall(r"{(\w+)}", path)), path


def test_the_second_version_is_sound(api: k8s.ApiClient) -> None:
    whole = document(api, "/openapi/v2")
    assert whole["swagger"] == "2.0"
    check(whole)


def test_the_documents_of_the_third_version_are_sound(api: k8s.ApiClient) -> None:
    for name, entry in document(api, "/openapi/v3")["paths"].items():
        if "example" in name:
            continue  # another test's, and perhaps on its way out
        whole = document(api, entry["serverRelativeURL"])
        assert whole["openapi"].startswith("3.0"), name
        check(whole)


def method_name(operation: str) -> str:
    """readNamespacedCSIStorageCapacity -> read_namespaced_csi_storage_capacity, as the generator has it."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])|([A-Z])(?=[a-z])", lambda found: "_" + found[0], operation).lower().lstrip("_")


def test_each_operation_is_a_method_of_the_official_client(api: k8s.ApiClient) -> None:
    strange = []
    for path, _, operation in operations(document(api, "/openapi/v2")):
        (tag,) = operation["tags"]
        # Watches by path are deprecated, and the client's generator leaves them out.
        if tag in UNKNOWN_TO_THE_CLIENT or "example" in path or "/watch/" in path:
            continue
        stem = "".join(part[:1].upper() + part[1:] for part in tag.split("_"))
        name = method_name(operation["operationId"].replace(stem, "", 1))
        if not hasattr(getattr(k8s, f"{stem}Api", None), name):
            strange.append((path, operation["operationId"]))
    assert not strange


@pytest.mark.parametrize(
    ("operation", "expected"),
    [("listNamespacedPod", "list_namespaced_pod"), ("readCSINode", "read_csi_node"), ("createIPAddress", "create_ip_address")],
)  # fmt: skip
def test_names_of_methods(operation: str, expected: str) -> None:
    assert method_name(operation) == expected
