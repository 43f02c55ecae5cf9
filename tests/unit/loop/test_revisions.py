"""A revision of a template, as others read it."""

from __future__ import annotations

import json

from steersman.api.protobuf.special import read_raw, write_raw
from steersman.loop import revisions
from steersman.machinery.meta import Obj

TEMPLATE: Obj = {
    "spec": {"restartPolicy": "Always", "containers": [{"name": "main", "image": "i", "args": ["a<b && c>d"]}]},
    "metadata": {"labels": {"b": "1", "a": "2"}},
}
OWNER: Obj = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "w", "namespace": "n", "uid": "1"},
    "spec": {"template": TEMPLATE},
}


def test_the_data_of_a_revision_has_its_keys_in_order_for_clients_compare_its_bytes() -> None:
    made = revisions.make(OWNER, 1, revisions.POD_HASH)
    assert made["data"] == revisions.data_of(OWNER)
    assert json.dumps(made["data"]) == json.dumps(revisions.data_of(OWNER), sort_keys=True)


def test_a_revision_is_found_again_in_whatever_order_its_keys_are() -> None:
    made = revisions.make(OWNER, 1, revisions.POD_HASH)
    assert revisions.find_current(OWNER, [{**made, "data": revisions.data_of(OWNER)}]) is not None


def test_free_form_objects_are_written_as_go_writes_json() -> None:
    message = write_raw({"args": ["a<b && c>d", "\u2028"]})
    assert message[2:] == rb'{"args":["a\u003cb \u0026\u0026 c\u003ed","\u2028"]}'
    assert read_raw(message) == {"args": ["a<b && c>d", "\u2028"]}
