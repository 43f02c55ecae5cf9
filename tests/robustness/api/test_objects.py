"""Objects of every kind, of which parts are wrong, created, updated, patched, applied and read in all forms."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.robustness.api.conftest import examples
from tests.robustness.api.hostile import ANY_JSON, PATCH_TYPES, directed, operations, spoiled
from tests.robustness.api.objects import SAMPLES, Sample
from tests.robustness.api.target import Target

FORMS = (
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
)
QUERIES = ("", "?dryRun=All", "?fieldValidation=Strict", "?pretty=true", "?dryRun=x&fieldValidation=y&fieldManager=%00")


def name_of(sample: Sample) -> str:
    return str(sample.object()["metadata"]["name"])


@pytest.fixture(params=SAMPLES, ids=repr)
def sample(request: pytest.FixtureRequest, target: Target) -> Sample:
    """A kind, of which there is a good object."""
    found: Sample = request.param
    target.send("POST", found.url, found.object())
    return found


def test_the_good_objects_are_good(target: Target, sample: Sample) -> None:
    """Else the tests below would try little."""
    assert target.send("GET", f"{sample.url}/{name_of(sample)}").status == 200


@given(data=st.data())
@examples(8)
def test_a_spoiled_object_is_taken_or_refused(target: Target, sample: Sample, data: st.DataObject) -> None:
    obj = data.draw(spoiled(sample.object("b")))
    query, options = data.draw(st.sampled_from(QUERIES)), data.draw(ANY_JSON)
    made = target.send("POST", sample.url + query, obj)
    target.send("PUT", f"{sample.url}/{name_of(sample)}{query}", obj)
    if made.status == 201:
        for form in FORMS:
            target.send("GET", sample.url, accept=form)
        target.send("DELETE", f"{sample.url}/b", options)


@given(data=st.data())
@examples(8)
def test_a_patch_of_any_type_is_taken_or_refused(target: Target, sample: Sample, data: st.DataObject) -> None:
    media_type = data.draw(st.sampled_from(PATCH_TYPES))
    obj = data.draw(spoiled(sample.object()))
    body: object = obj
    url = f"{sample.url}/{name_of(sample)}"
    if media_type.startswith("application/json-patch"):
        body = data.draw(operations(obj))
    elif media_type.startswith("application/strategic") and data.draw(st.booleans()):
        body = data.draw(directed(obj))
    elif media_type.startswith("application/apply"):
        url += f"?fieldManager=m{data.draw(st.integers(0, 2))}&force={data.draw(st.sampled_from(['true', 'false', 'x']))}"
    target.send("PATCH", url, orjson.dumps(body), media_type)
    target.send("PATCH", f"{url.partition('?')[0]}/status?{url.partition('?')[2]}", orjson.dumps(body), media_type)


@pytest.mark.parametrize(
    ("plural", "subresource"),
    [
        ("pods", "status"),
        ("pods", "eviction"),
        ("pods", "binding"),
        ("pods", "ephemeralcontainers"),
        ("pods", "resize"),
        ("serviceaccounts", "token"),
        ("namespaces", "finalize"),
    ],
)
@given(data=st.data())
@examples(12)
def test_so_is_what_is_sent_to_a_part_of_one(target: Target, plural: str, subresource: str, data: st.DataObject) -> None:
    body = data.draw(ANY_JSON | spoiled(SAMPLES[0].object()))
    scope = "" if plural == "namespaces" else "/namespaces/default"
    for method in ("POST", "PUT"):
        target.send(method, f"/api/v1{scope}/{plural}/a/{subresource}", orjson.dumps(body))


@pytest.mark.parametrize("plural", ["deployments", "replicasets", "statefulsets"])
@given(scale=ANY_JSON, replicas=st.sampled_from([0, -1, 2**31, 1.5, "1", None, [], 2**63 - 1]))
@examples(10)
def test_so_is_a_scale(target: Target, plural: str, scale: object, replicas: object) -> None:
    url = f"/apis/apps/v1/namespaces/default/{plural}/a/scale"
    target.send("PUT", url, orjson.dumps(scale))
    target.send("PUT", url, {"metadata": {"name": "a", "namespace": "default"}, "spec": {"replicas": replicas}})
    target.send("PATCH", url, orjson.dumps({"spec": {"replicas": replicas}}), "application/merge-patch+json")
