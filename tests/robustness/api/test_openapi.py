"""Requests of every form that the server's own OpenAPI documents describe, made by schemathesis.

Its cases follow the documents, and leave them in ways that other tests here did not think of. They are slow to make: `make test`
tries a few groups, `make fuzz` all.
"""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson
import pytest
import schemathesis
from hypothesis import given, settings
from tests.robustness.api.conftest import examples
from tests.robustness.api.target import Target

GROUPS = (
    "apis/policy/v1",
    "apis/coordination.k8s.io/v1",
    "apis/node.k8s.io/v1",
    "apis/authorization.k8s.io/v1",
    "apis/scheduling.k8s.io/v1",
)
_STREAMED = ("proxy", "exec", "attach", "portforward", "watch")


def documents(target: Target) -> list[str]:
    return sorted(orjson.loads(target.send("GET", "/openapi/v3").body)["paths"])


def sent(target: Target, case: Any) -> None:
    """A case as a request."""
    made = case.as_transport_kwargs(base_url="http://tests")
    headers = {name.lower(): str(value) for name, value in (made.get("headers") or {}).items()}
    body = made.get("data") or b""
    if made.get("json") is not None:
        body = json.dumps(made["json"], default=str).encode("utf-8", "replace")
    elif isinstance(body, str):
        body = body.encode("utf-8", "replace")
    query = urlencode(made.get("params") or {}, doseq=True, errors="replace")
    target.send(
        made["method"],
        f"{urlsplit(made['url']).path}?{query}",
        body if isinstance(body, bytes) else b"",
        headers.pop("content-type", None),
        **{name: value for name, value in headers.items() if name != "user-agent"},
    )


def tried(target: Target, group: str, count: int) -> int:
    """How many operations a document has; each is tried `count` times."""
    schema = schemathesis.openapi.from_dict(orjson.loads(target.send("GET", f"/openapi/v3/{group}").body))
    tried = 0
    found: Any
    for found in schema.get_all_operations():
        operation = found.ok()
        if any(part in operation.path for part in _STREAMED):
            continue
        tried += 1

        @given(case=operation.as_strategy())
        @settings(examples(count), max_examples=count)
        def attempt(case: Any) -> None:
            sent(target, case)

        attempt()
    return tried


@pytest.mark.parametrize("group", GROUPS)
def test_a_request_as_described_or_not_quite_is_answered(target: Target, group: str) -> None:
    assert group in documents(target)
    assert tried(target, group, 2) > 0


@pytest.mark.skipif("FUZZ_EXAMPLES" not in os.environ, reason="takes long: make fuzz")
def test_so_is_one_to_any_other_group(target: Target) -> None:
    for group in documents(target):
        if group not in GROUPS:
            tried(target, group, 3)
