"""Objects are encoded once, without their resourceVersion, and every reader gets slices of the same bytes."""

from __future__ import annotations

import orjson
from tests.fakes.server import pod

from steersman.api.resources import DEPLOYMENTS, NODES, PODS
from steersman.apiserver.storage import Form, encode, head_of, prefix_of


def test_keys_lie_as_upstream_lays_them() -> None:
    assert Form(PODS, {}).key("default", "web") == "/registry/pods/default/web"
    assert Form(NODES, {}).key("", "n1") == "/registry/nodes/n1"
    assert prefix_of(DEPLOYMENTS) == "/registry/apps/deployments/"


def test_the_stored_form_begins_with_the_head_and_has_no_version() -> None:
    obj = {"spec": {"a": 1}, "metadata": {"name": "web", "resourceVersion": "7"}, "apiVersion": "v1", "kind": "Pod"}
    value = encode(obj)
    assert value == b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web"},"spec":{"a":1}}'
    assert obj["metadata"] == {"name": "web", "resourceVersion": "7"}


def test_the_version_is_spliced_in_when_read() -> None:
    form = Form(PODS, {"spec.nodeName": lambda obj: str(obj["spec"].get("nodeName", ""))})
    stored = form.stored("/registry/pods/default/web", encode(pod(labels={"a": "b"})), 42)
    assert stored.body.startswith(b'{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"42","name":"web"')
    assert (stored.namespace, stored.name) == ("default", "web")
    assert stored.labels == {"a": "b"}
    assert stored.fields == {"spec.nodeName": "", "metadata.name": "web", "metadata.namespace": "default"}
    assert orjson.loads(stored.at(50).body)["metadata"]["resourceVersion"] == "50"


def test_values_that_others_wrote_in_another_order_are_put_in_order() -> None:
    form = Form(PODS, {})
    foreign = orjson.dumps({"metadata": {"resourceVersion": "1", "name": "web"}, "spec": {}, "kind": "Pod", "apiVersion": "v1"})
    assert form.tail(foreign, 9) == b'"metadata":{"resourceVersion":"9","name":"web"},"spec":{}}'


def test_heads_quote_what_json_must_quote() -> None:
    assert head_of('a"b', "v1") == b'{"kind":"a\\"b","apiVersion":"v1",'
