"""Requests that once failed the server, or held it up, and what they are answered."""

from __future__ import annotations

import pytest
from tests.robustness.api.target import Target

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
SERVICES = "/api/v1/namespaces/default/services"


@pytest.mark.parametrize("port", [b"{}", b"null", b'{"name":"x"}', b'{"port":null}'])
def test_a_node_port_for_no_port_is_refused(target: Target, port: bytes) -> None:
    body = b'{"metadata":{"name":"s"},"spec":{"type":"NodePort","ports":[%b]}}' % port
    answer = target.send("POST", SERVICES, body)
    assert answer.status == 422 and b"spec.ports[0].port: Invalid value: 0: must be between 1 and 65535" in answer.body


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"dryRun":true}', b"cannot unmarshal bool into Go struct field DeleteOptions.dryRun of type []string"),
        (b'{"preconditions":[]}', b"cannot unmarshal array into Go struct field DeleteOptions.preconditions"),
        (
            b'{"gracePeriodSeconds":"x"}',
            b"cannot unmarshal string into Go struct field DeleteOptions.gracePeriodSeconds of type int64",
        ),
        (b'{"gracePeriodSeconds":1e30}', b"DeleteOptions.gracePeriodSeconds of type int64"),
    ],
)
def test_options_of_a_delete_are_checked_like_any_object(target: Target, body: bytes, told: bytes) -> None:
    for url in (f"{CONFIG_MAPS}/nobody", CONFIG_MAPS):
        answer = target.send("DELETE", url, body)
        assert answer.status == 400 and told in answer.body, answer.body


@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ("resourceVersion=" + "9" * 5000, 400, b"value out of range"),
        ("resourceVersion=%C2%B2", 400, b"invalid syntax"),
        ("resourceVersion=99999999", 504, b"Too large resource version: 99999999"),
        ("limit=%D9%A1", 400, b"invalid syntax"),
        ("limit=" + "9" * 30, 400, b"value out of range"),
        ("timeoutSeconds=1_0", 400, b"invalid syntax"),
        ("limit=-1", 200, b""),
        ("labelSelector=" + "a%2C" * 2000, 400, b"too many requirements"),
        ("fieldSelector=" + "metadata.name!%3Da%2C" * 2000, 400, b"too many terms"),
    ],
)
def test_a_query_is_read_as_go_reads_it(target: Target, query: str, status: int, told: bytes) -> None:
    answer = target.send("GET", f"{CONFIG_MAPS}?{query}")
    assert answer.status == status and told in answer.body, answer.body


def test_a_log_since_before_time_began_is_no_fault(target: Target) -> None:
    assert target.send("GET", f"/api/v1/namespaces/default/pods/a/log?sinceSeconds={'9' * 30}").status in (400, 404)


def test_values_are_counted_and_texts_are_not(target: Target) -> None:
    answer = target.send("POST", CONFIG_MAPS, b'{"metadata":{"name":"a"},"x":[' + b",".join([b"{}"] * 400_000) + b"]}")
    assert answer.status == 413 and b"limit is 150000 values" in answer.body
    assert target.send("POST", CONFIG_MAPS, {"metadata": {"name": "csv"}, "data": {"table": "1,2,\n" * 200_000}}).status == 201
