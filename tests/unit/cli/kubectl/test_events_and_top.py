"""`kubectl events` and `kubectl top` on an API in a dictionary."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.fakes.client import FakeClient

from steersman.api.resources import EVENTS, NODE_METRICS, NODES, POD_METRICS, PODS
from steersman.cli.kubectl.command import Command, load
from steersman.cli.kubectl.commands.top import NODE, POD
from steersman.cli.kubectl.context import GLOBAL_FLAGS, Context
from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.flags import FlagSet
from steersman.cli.kubectl.mapping import Mapper
from steersman.client.interface import WatchEvent
from steersman.machinery.clock import VirtualClock
from steersman.machinery.meta import Obj

NOW = datetime(2026, 1, 2, 4, 4, 5, tzinfo=UTC)
EVENTS_VERB = load("steersman.cli.kubectl.commands.events")


def ran(command: Command, client: FakeClient, *argv: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr)"""
    flags, args = FlagSet("kubectl", (*GLOBAL_FLAGS, *command.flags)).parse(["-n", "shop", *argv])
    out, err = io.StringIO(), io.StringIO()
    clock = VirtualClock(NOW)
    ctx = Context("verb", flags, out=out, err=err, clock=clock)
    # Both are made when first asked for; a test's own are there before.
    ctx.__dict__["client"] = client
    ctx.__dict__["mapper"] = Mapper(client, clock, None)

    async def scenario() -> int:
        assert command.run is not None
        return await command.run(ctx, flags, list(args))

    return asyncio.run(scenario()), out.getvalue(), err.getvalue()


def served(*groups: tuple[str, str, str, str]) -> FakeClient:
    """A server with these (group, version, plural, kind)."""
    client = FakeClient()
    for path, core in (("/api", True), ("/apis", False)):
        items = [
            {"metadata": {"name": group}, "versions": [{"version": version, "resources": [_resource(plural, kind)]}]}
            for group, version, plural, kind in groups
            if (group == "") == core
        ]
        client.raw_answers[path] = {"kind": "APIGroupDiscoveryList", "items": items}
    return client


def _resource(plural: str, kind: str) -> Obj:
    return {"resource": plural, "singularResource": kind.lower(), "scope": "Namespaced", "responseKind": {"kind": kind}}


def event(name: str, about: str, **more: Any) -> Obj:
    involved = {"apiVersion": "v1", "kind": "Pod", "name": about, "namespace": "shop"}
    return {
        "metadata": {"name": name, "namespace": "shop"},
        "involvedObject": involved,
        "type": "Normal",
        "reason": "Done",
        **more,
    }


@pytest.fixture
def happened() -> FakeClient:
    client = served(("", "v1", "pods", "Pod"))
    old, late = "2026-01-02T03:04:05Z", "2026-01-02T04:00:05Z"
    client.put(EVENTS, event("late", "web", firstTimestamp=old, lastTimestamp=late, count=7, message=" again\n"))
    early = "2026-01-02T03:34:05Z"
    client.put(EVENTS, event("early", "db", firstTimestamp=early, lastTimestamp=early, message="once"))
    series = {"count": 3, "lastObservedTime": "2026-01-02T03:54:05.000001Z"}
    client.put(EVENTS, event("middle", "web", type="Warning", eventTime=old, series=series, message="thrice"))
    return client


def test_events_are_shown_by_when_they_were_last_seen(happened: FakeClient) -> None:
    code, out, err = ran(EVENTS_VERB, happened)
    assert out.splitlines() == [
        "LAST SEEN             TYPE      REASON   OBJECT    MESSAGE",
        "30m                   Normal    Done     Pod/db    once",
        "9m59s (x3 over 60m)   Warning   Done     Pod/web   thrice",
        "4m (x7 over 60m)      Normal    Done     Pod/web   again",
    ]
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("argv", "messages"),
    [
        (["--types", "warning", "--no-headers"], ["thrice"]),
        (["--for", "pod/db", "--no-headers"], ["once"]),
        (["--for", "pods/", "--no-headers"], ["once", "thrice", "again"]),
        (["-A", "--no-headers"], ["once", "thrice", "again"]),
    ],
)
def test_events_are_chosen_by_type_and_by_what_they_are_about(happened: FakeClient, argv: list[str], messages: list[str]) -> None:
    out = ran(EVENTS_VERB, happened, *argv)[1]
    assert [line.split()[-1] for line in out.splitlines()] == messages


def test_no_events_is_said_on_stderr(happened: FakeClient) -> None:
    assert ran(EVENTS_VERB, happened, "--for=pod/nobody") == (0, "", "No events found in shop namespace.\n")
    assert ran(EVENTS_VERB, happened, "--for=pod/nobody", "-A") == (0, "", "No events found.\n")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--types=Bad"], "error: valid --types are Normal or Warning"),
        (["--for=web"], "error: --for must be in resource/name form"),
        (["--for=pod/a/b"], "error: arguments in resource/name form may not have more than one slash"),
        (["--for=frob/a"], 'the server doesn\'t have a resource type "frob"'),
    ],
)
def test_what_events_cannot_make_sense_of_is_an_error(happened: FakeClient, argv: list[str], message: str) -> None:
    with pytest.raises(KubectlError) as caught:
        ran(EVENTS_VERB, happened, *argv)
    assert caught.value.text() == message


def test_events_as_json_have_the_fields_of_the_wire_in_the_order_of_the_types(happened: FakeClient) -> None:
    out = ran(EVENTS_VERB, happened, "--for=pod/db", "-ojson")[1]
    found = json.loads(out)
    assert list(found) == ["kind", "apiVersion", "metadata", "items"]
    assert list(found["items"][0]) == [
        "kind", "apiVersion", "metadata", "involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp",
        "type", "eventTime", "reportingComponent", "reportingInstance",
    ]  # fmt: skip
    assert list(found["items"][0]["involvedObject"]) == ["kind", "namespace", "name", "apiVersion"]


def test_watched_events_are_printed_as_they_come_and_their_deletion_is_not(happened: FakeClient) -> None:
    happened.drop(EVENTS, "shop", "early")

    class Once(FakeClient):
        """Ends its watch after what is there."""

        async def watch(self, *args: Any, **more: Any) -> AsyncIterator[WatchEvent]:
            for change in self.tables[("", "events")].log:
                yield WatchEvent(change.type, change.obj)

    client = Once()
    client.tables, client.raw_answers = happened.tables, happened.raw_answers
    out = ran(EVENTS_VERB, client, "-w")[1]
    assert [line.split()[-1] for line in out.splitlines()] == ["MESSAGE", "again", "once", "thrice"]


def usage(cpu: str, memory: str) -> Obj:
    return {"usage": {"cpu": cpu, "memory": memory}}


@pytest.fixture
def measured() -> FakeClient:
    client = served(("metrics.k8s.io", "v1beta1", "pods", "PodMetrics"))
    for name, cpu, memory in (("small", "100m", "1Gi"), ("big", "1500m", "512Mi")):
        client.put(NODE_METRICS, {"metadata": {"name": name}, **usage(cpu, memory)})
    for name in ("small", "big", "silent"):
        status = {"allocatable": {"cpu": "2", "memory": "4Gi"}, "capacity": {"cpu": "4", "memory": "8Gi"}}
        client.put(NODES, {"metadata": {"name": name}, "status": status})
    for namespace, name, containers in (
        ("shop", "web", [{"name": "b", **usage("1234567n", "10Mi")}, {"name": "a", **usage("5m", "1Mi")}]),
        ("shop", "db", [{"name": "db", **usage("1m", "100Mi")}]),
        ("back", "job", [{"name": "job", **usage("1", "2000Ki")}]),
    ):
        client.put(POD_METRICS, {"metadata": {"name": name, "namespace": namespace}, "containers": containers})
    return client


@pytest.mark.parametrize(
    ("command", "argv", "expected"),
    [
        (
            NODE, [],
            "NAME     CPU(cores)   CPU(%)      MEMORY(bytes)   MEMORY(%)   \n"
            "big      1500m        75%         512Mi           12%         \n"
            "small    100m         5%          1024Mi          25%         \n"
            "silent   <unknown>    <unknown>   <unknown>       <unknown>   \n",
        ),
        (
            NODE, ["--show-capacity", "--sort-by=memory", "--no-headers"],
            "small    100m        2%          1024Mi      12%         \n"
            "big      1500m       37%         512Mi       6%          \n"
            "silent   <unknown>   <unknown>   <unknown>   <unknown>   \n",
        ),
        (NODE, ["small", "--no-headers"], "small   100m   5%    1024Mi   25%   \n"),
        (
            POD, [],
            "NAME   CPU(cores)   MEMORY(bytes)   \n"
            "db     1m           100Mi           \n"
            "web    7m           11Mi            \n",
        ),
        (
            POD, ["-A", "--containers", "--sum", "--sort-by=cpu"],
            "NAMESPACE   POD   NAME   CPU(cores)   MEMORY(bytes)   \n"
            "back        job   job    1000m        1Mi             \n"
            "shop        web   a      5m           1Mi             \n"
            "shop        web   b      2m           10Mi            \n"
            "shop        db    db     1m           100Mi           \n"
            "                         ________     ________        \n"
            "                         1008m        112Mi           \n",
        ),
        (POD, ["db", "--no-headers"], "db    1m    100Mi   \n"),
    ],
)  # fmt: skip
def test_top_shows_what_is_used(measured: FakeClient, command: Command, argv: list[str], expected: str) -> None:
    assert ran(command, measured, *argv)[1] == expected


def test_pods_without_metrics_are_told_once_they_are_old_enough(measured: FakeClient) -> None:
    measured.tables.pop((POD_METRICS.group, POD_METRICS.plural))
    assert ran(POD, measured) == (0, "", "No resources found in shop namespace.\n")
    measured.put(PODS, {"metadata": {"name": "web", "namespace": "shop", "creationTimestamp": "2026-01-02T04:03:05Z"}})
    with pytest.raises(KubectlError, match="metrics not available yet"):
        ran(POD, measured)
    measured.put(PODS, {"metadata": {"name": "web", "namespace": "shop", "creationTimestamp": "2026-01-02T03:04:05Z"}})
    with pytest.raises(KubectlError, match="Metrics not available for pod shop/web, age: 1h0m0s"):
        ran(POD, measured)


@pytest.mark.parametrize(
    ("command", "argv", "message"),
    [
        (NODE, ["a", "-l", "b=c"], "only one of NAME or --selector can be provided"),
        (POD, ["a", "-l", "b=c"], "only one of NAME or selector can be provided"),
        (POD, ["--sort-by=name"], "--sort-by accepts only cpu or memory"),
        (POD, ["a", "b"], "pod [NAME | -l label]"),
    ],
)
def test_what_top_cannot_make_sense_of_is_an_error(measured: FakeClient, command: Command, argv: list[str], message: str) -> None:
    with pytest.raises(KubectlError) as caught:
        ran(command, measured, *argv)
    assert str(caught.value).startswith(message)


def test_a_server_without_metrics_says_so() -> None:
    with pytest.raises(KubectlError, match="Metrics API not available"):
        ran(NODE, served(("", "v1", "pods", "Pod")))
