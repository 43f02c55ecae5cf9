"""The official client: everything it can list or read is what its generated classes say, and they lose nothing of it."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client as k8s
from kubernetes import utils
from kubernetes.client.exceptions import NotFoundException
from tests.e2e.harness import eventually

APIS = sorted(name for name, _ in inspect.getmembers(k8s, inspect.isclass) if re.search(r"V\d\w*Api$", name))

ABSENT = {
    "AdmissionregistrationV1Api": "not there yet",
    "AdmissionregistrationV1alpha1Api": "off by default",
    "AdmissionregistrationV1beta1Api": "off by default",
    "ApiregistrationV1Api": "not there yet",
    "CertificatesV1beta1Api": "off by default",
    "CoordinationV1alpha2Api": "off by default",
    "CoordinationV1beta1Api": "off by default",
    "InternalApiserverV1alpha1Api": "off by default",
    "LifecycleV1alpha1Api": "newer than v1.36",
    "ResourceV1alpha3Api": "off by default",
    "ResourceV1beta1Api": "off by default",
    "ResourceV1beta2Api": "off by default",
    "SchedulingV1alpha3Api": "newer than v1.36",
    "SchedulingV1beta1Api": "newer than v1.36",
    "StoragemigrationV1Api": "newer than v1.36",
    "StoragemigrationV1beta1Api": "off by default",
}
"""Group versions that need not be served, and why. The client is of v1.37."""
NEWER = {"cluster_trust_bundle", "pod_certificate_request", "device_taint_rule", "csi_node_status"}
"""What v1.37 has in a version that v1.36 has without it."""
SELECTED = {"EventsV1Api": "metadata.name=two"}
"""core/v1 takes Events without eventTime, which this version then shows as null, and the client's classes refuse that: so they do
with upstream."""
UNVERSIONED = {"component_status"}
EMPTY = {"certificate_signing_request"}
SUBRESOURCES = ("status", "scale", "approval", "ephemeralcontainers", "resize")


@pytest.fixture(scope="module")
def everything(api: k8s.ApiClient) -> Iterator[None]:
    """One of each kind, and what the controllers make of it."""
    served = {version.group_version for group in k8s.ApisApi(api).get_api_versions().groups for version in group.versions}
    manifests = yaml.safe_load_all((Path(__file__).parent / "everything.yaml").read_text())
    utils.create_from_yaml(api, yaml_objects=[one for one in manifests if one["apiVersion"] in {"v1", *served}])
    pods = k8s.CoreV1Api(api)

    def running() -> object:
        return pods.read_namespaced_pod("one", "everything").status.phase == "Running"

    eventually(running, what="the pod runs")
    yield
    k8s.CoreV1Api(api).delete_namespace("everything")


def lists(group: Any) -> Iterator[str]:
    """Names of its methods that list all there is of a kind."""
    for name in dir(group):
        if name.startswith("list_") and not name.endswith("_with_http_info"):
            needed = [p for p in inspect.signature(getattr(group, name)).parameters.values() if p.default is p.empty]
            if not [p for p in needed if p.kind is not p.VAR_KEYWORD]:
                yield name


def differences(raw: Any, typed: Any, path: str = "") -> Iterator[str]:
    """What the server said and the class does not: nulls and times' spelling aside."""
    if isinstance(raw, dict) and isinstance(typed, dict):
        for key, value in raw.items():
            if value is not None:
                yield from differences(value, typed.get(key), f"{path}.{key}")
    elif isinstance(raw, list) and isinstance(typed, list) and len(raw) == len(typed):
        for number, value in enumerate(raw):
            yield from differences(value, typed[number], f"{path}[{number}]")
    elif isinstance(raw, str) and re.match(r"\d{4}-\d\d-\d\dT", raw):
        if not isinstance(typed, str) or typed[:19] != raw[:19]:
            yield f"{path}: {raw} became {typed}"
    elif raw != typed:
        yield f"{path}: {raw!r} became {typed!r}"


@pytest.mark.parametrize("name", APIS)
def test_what_the_client_lists_is_what_its_classes_say(name: str, api: k8s.ApiClient, everything: None) -> None:
    group = getattr(k8s, name)(api)
    try:
        served = {resource.name for resource in group.get_api_resources().resources}
    except NotFoundException:
        assert name in ABSENT
        return
    assert served
    ending = {one.metadata.name for one in k8s.CoreV1Api(api).list_namespace().items if one.metadata.deletion_timestamp}
    for method in lists(group):
        stem = method.removeprefix("list_").removesuffix("_for_all_namespaces")
        listing = getattr(group, method)
        try:
            answer = listing(field_selector=SELECTED.get(name), _preload_content=False)
        except NotFoundException:
            assert stem in NEWER
            continue
        # One answer, looked at in both ways: in two of them there may be other objects.
        kind = inspect.signature(listing).return_annotation.__name__
        raw, typed = json.loads(answer.data), api.deserialize(answer.data.decode(), kind, "application/json")
        found = list(differences(raw["items"], api.sanitize_for_serialization(typed)["items"]))
        assert not found, found
        assert typed.items or stem in EMPTY, f"nothing to look at in {method}"
        assert typed.metadata.resource_version or stem in UNVERSIONED
        read_all(group, stem, [item for item in typed.items if stays(item.metadata, ending)][:20])


def stays(metadata: Any, ending: set[str]) -> bool:
    """Not what other tests have left to be deleted."""
    return metadata.deletion_timestamp is None and metadata.namespace not in ending


def read_all(group: Any, stem: str, items: list[Any]) -> None:
    """Every object by itself, and its subresources."""
    for suffix in ("", *(f"_{sub}" for sub in SUBRESOURCES)):
        if stem + suffix in NEWER:
            continue
        namespaced = getattr(group, f"read_namespaced_{stem}{suffix}", None)
        plain = getattr(group, f"read_{stem}{suffix}", None)
        for item in items:
            found = None
            if namespaced is not None:
                found = namespaced(item.metadata.name, item.metadata.namespace)
            elif plain is not None:
                found = plain(item.metadata.name)
            if found is not None:
                assert found.metadata.name == item.metadata.name
                assert type(item).__name__.endswith(found.kind) or (found.kind, suffix) == ("Scale", "_scale")
