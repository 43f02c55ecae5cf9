"""`kubectl events` and `kubectl top` of ours beside upstream's."""

from __future__ import annotations

import json

import pytest
from tests.e2e.harness import Cluster
from tests.e2e.kubectl.sidebyside import assert_same

pytestmark = pytest.mark.root


def event(namespace: str, name: str, about: str, minute: int, **more: object) -> dict[str, object]:
    seen = f"2026-01-02T03:{minute:02d}:05Z"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": about, "namespace": namespace},
        "type": "Normal",
        "reason": "Noted",
        "message": f"{name} was noted",
        "source": {"component": "tester"},
        "firstTimestamp": "2026-01-02T03:00:05Z",
        "lastTimestamp": seen,
        **more,
    }


def test_events_are_shown_as_upstream_shows_them(cluster: Cluster, namespace: str) -> None:
    series = {"count": 4, "lastObservedTime": "2026-01-02T03:30:05.000001Z"}
    newer = {
        "eventTime": "2026-01-02T03:00:05.000001Z", "series": series, "reportingComponent": "example.com/tester",
        "reportingInstance": "one", "action": "Note", "firstTimestamp": None, "lastTimestamp": None, "source": {},
    }  # fmt: skip
    events = [
        event(namespace, "last", "web", 50, count=7, message="several\nlines  "),
        event(namespace, "first", "web", 10, count=1),
        event(namespace, "new", "web", 0, **newer),
        event(namespace, "warned", "db", 20, type="Warning", related={"kind": "Node", "name": "node-1"}),
    ]
    for item in events:
        cluster.kubectl("create", "-f", "-", stdin=json.dumps(item))
    here = ("events", "-n", namespace)
    assert_same(cluster, *here)
    assert_same(cluster, *here, "--for=pod/web")
    assert_same(cluster, *here, "--types=warning", "--no-headers")
    assert_same(cluster, *here, "-o", "yaml")
    assert_same(cluster, *here, "-o", "json")
    assert_same(cluster, *here, "-o", "name")
    assert_same(cluster, *here, "--for=pod/nobody")
    assert_same(cluster, *here, "--for=nobody", code=1)
    assert_same(cluster, *here, "--for=nobodies/x", code=1)
    assert_same(cluster, *here, "--types=Other", code=1)
    assert_same(cluster, "events", "-A", unordered=True)


def test_usage_is_shown_as_upstream_shows_it(cluster: Cluster, namespace: str) -> None:
    assert_same(cluster, "top", "node")
    assert_same(cluster, "top", "nodes", "--show-capacity", "--sort-by=cpu", "--no-headers")
    assert_same(cluster, "top", "pod", "-n", namespace)
    assert_same(cluster, "top", "pod", "-n", namespace, "nobody", code=1)
    assert_same(cluster, "top", "pod", "--sort-by=name", code=1)
    assert_same(cluster, "top", "node", "a", "b", code=1)
