"""taint, cordon, uncordon and drain."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.fakes.server import World, pod, world
from tests.unit.cli.kubectl.commands.line import Ran, ran

from steersman.cli.kubectl.commands.drain.choosing import Rules, errors, judge, warnings
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

NODES, PODS = Resource("", "v1", "nodes", False), Resource("", "v1", "pods")
TAINTS = [{"key": "a", "value": "b", "effect": "NoSchedule"}, {"key": "k", "effect": "NoExecute"}]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY_TEXT = "name part must consist of alphanumeric characters"


async def _start(made: World, *pods: Obj) -> None:
    node: Obj = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "spec": {"taints": TAINTS}}
    await made.client.create(NODES, node)
    for item in pods:
        await made.client.create(PODS, item)


def run(line: str, *pods: Obj) -> tuple[Ran, Obj]:
    """What is told, and the node's spec afterwards."""

    async def scenario() -> tuple[Ran, Obj]:
        async with world() as made:
            await _start(made, *pods)
            told = await ran(line, transport=made.transport, clock=made.clock)
            return told, (await made.client.get(NODES, "n1"))["spec"]

    return asyncio.run(scenario())


TOLD = {
    "taint node n1 x=y:NoSchedule": (0, "node/n1 tainted\n", ""),
    "taint node n1 a=b:NoSchedule": (
        1, "", "error: node n1 already has a taint(s) with same effect(s) and --overwrite is false\n",
    ),
    "taint node n1 a=c:NoSchedule --overwrite": (0, "node/n1 modified\n", ""),
    "taint node n1 a-": (0, "node/n1 untainted\n", ""),
    "taint node n1 a:NoSchedule- z=:NoExecute": (0, "node/n1 modified\n", ""),
    "taint node n1 nope-": (1, "", 'error: taint "nope" not found\n'),
    "taint node n1 a:NoExecute-": (1, "", 'error: taint "a:NoExecute" not found\n'),
    "taint node --all x=y:NoSchedule -o name": (0, "node/n1\n", ""),
    "taint": (1, "", "error: one or more resources must be specified as <resource> <name>\n"),
    "taint node n1": (1, "", "error: at least one taint update is required\n"),
    "taint pod p a=b:NoSchedule": (1, "", "error: invalid resource type pod, only node types are supported\n"),
    "taint node n1 a=c:Foo": (
        1, "", "error: invalid taint effect: Foo, unsupported taint effect\nSee 'kubectl taint -h' for help and examples\n",
    ),
    "taint node n1 q=v:NoSchedule q-": (
        1, "", "error: can not both modify and remove the following taint(s) in the same command: q=\n",
    ),
    "taint node n1 q=1:NoSchedule q=2:NoSchedule": (
        1, "", "error: duplicated taints with the same key and effect: {q 2 NoSchedule <nil>}\n"
        "See 'kubectl taint -h' for help and examples\n",
    ),
    "cordon n1": (0, "node/n1 cordoned\n", ""),
    "cordon n1 --dry-run=client": (0, "node/n1 cordoned (dry run)\n", ""),
    "uncordon n1": (0, "node/n1 already uncordoned\n", ""),
    "cordon nope": (1, "", 'Error from server (NotFound): nodes "nope" not found\n'),
    "cordon": (1, "", "error: USAGE: cordon NODE [flags]\nSee 'kubectl cordon -h' for help and examples\n"),
    "drain n1 -l a=b": (
        1, "", "error: cannot specify both a node name and a --selector option\nSee 'kubectl drain -h' for help and examples\n",
    ),
    "drain n1 --pod-selector=a!!": (1, "", "error: --pod-selector=<pod_selector> must be a valid label selector\n"),
    "drain n1": (0, "node/n1 cordoned\nnode/n1 drained\n", ""),
}  # fmt: skip


@pytest.mark.parametrize("line", TOLD)
def test_what_is_told_is_what_upstream_tells(line: str) -> None:
    assert run(line)[0] == TOLD[line]


@pytest.mark.parametrize("spec", ["a=b", "'a!=b:NoSchedule'", "'z z=v:NoSchedule'"])
def test_a_taint_that_is_none_is_refused(spec: str) -> None:
    assert KEY_TEXT in run(f"taint node n1 {spec}")[0].err


def test_taints_are_written_with_the_new_ones_first() -> None:
    assert run("taint node n1 a=c:NoSchedule z=:NoExecute --overwrite")[1]["taints"] == [
        {"key": "a", "value": "c", "effect": "NoSchedule"},
        {"key": "z", "effect": "NoExecute"},
        {"key": "k", "effect": "NoExecute"},
    ]
    assert run("taint node n1 a- --dry-run=client")[1]["taints"] == TAINTS
    assert run("cordon n1")[1]["unschedulable"] is True


def on_node(name: str, **more: Any) -> Obj:
    made = pod(name)
    made["metadata"].update(more.pop("metadata", {}))
    made["spec"] = {**made["spec"], "nodeName": "n1", "terminationGracePeriodSeconds": 0, **more}
    return made


def owned(kind: str) -> Obj:
    return {"ownerReferences": [{"apiVersion": "apps/v1", "kind": kind, "name": "o", "uid": "u", "controller": True}]}


def test_a_drain_takes_away_what_it_may_and_waits() -> None:
    bare, managed = on_node("bare"), on_node("managed", metadata=owned("ReplicaSet"))
    told, _ = run("drain n1 --force", bare, managed)
    assert told.code == 0
    assert told.err == "Warning: deleting Pods that declare no controller: default/bare\n"
    assert sorted(told.out.splitlines()) == [
        "evicting pod default/bare", "evicting pod default/managed", "node/n1 cordoned", "node/n1 drained",
        "pod/bare evicted", "pod/managed evicted",
    ]  # fmt: skip


def test_a_drain_by_deletion_says_so() -> None:
    told, _ = run("drain n1 --disable-eviction", on_node("managed", metadata=owned("ReplicaSet")))
    assert told.out == "node/n1 cordoned\npod/managed deleted\nnode/n1 drained\n"


def test_a_drain_that_may_not_go_on_says_what_stands_in_its_way() -> None:
    told, _ = run("drain n1", on_node("bare"))
    why = "cannot delete cannot delete Pods that declare no controller (use --force to override): default/bare"
    assert told == (
        1,
        "node/n1 cordoned\n",
        f'error: unable to drain node "n1" due to error: {why}, continuing command...\n'
        f"There are pending nodes to be drained:\n n1\n{why}\n",
    )


def test_a_dry_run_evicts_nothing() -> None:
    told, _ = run("drain n1 --dry-run=client --force", on_node("bare"))
    assert told.out == "node/n1 cordoned (dry run)\nevicting pod default/bare (dry run)\nnode/n1 drained (dry run)\n"


RULES = Rules(force=False, ignore_daemon_sets=False, delete_empty_dir=False, skip_deleted_after_s=0, now=NOW, orphan_errors={})
SCRATCH = {"volumes": [{"name": "v", "emptyDir": {}}]}
JUDGED: dict[str, tuple[Obj, dict[str, Any], bool, str, str]] = {
    "managed": (on_node("p", metadata=owned("ReplicaSet")), {}, True, "", ""),
    "bare": (on_node("p"), {}, False, "", "cannot delete Pods that declare no controller (use --force to override)"),
    "bare, forced": (on_node("p"), {"force": True}, True, "deleting Pods that declare no controller", ""),
    "bare and finished": ({**on_node("p"), "status": {"phase": "Succeeded"}}, {}, True, "", ""),
    "daemon": (
        on_node("p", metadata=owned("DaemonSet")), {}, False, "", "DaemonSet-managed Pods (use --ignore-daemonsets to ignore)",
    ),
    "daemon, ignored": (
        on_node("p", metadata=owned("DaemonSet")), {"ignore_daemon_sets": True}, False, "ignoring DaemonSet-managed Pods", "",
    ),
    "orphaned daemon": (
        on_node("p", metadata=owned("DaemonSet")), {"orphan_errors": {("default", "o"): "gone"}}, False, "", "gone",
    ),
    "mirror": (on_node("p", metadata={"annotations": {"kubernetes.io/config.mirror": "x"}}), {}, False, "", ""),
    "scratch": (
        on_node("p", metadata=owned("ReplicaSet"), **SCRATCH), {}, False, "",
        "Pods with local storage (use --delete-emptydir-data to override)",
    ),
    "scratch, deleted": (on_node("p", metadata=owned("ReplicaSet"), **SCRATCH), {"delete_empty_dir": True}, True, "", ""),
    "long deleted": (
        on_node("p", metadata={"deletionTimestamp": "2025-12-31T23:00:00Z"}), {"skip_deleted_after_s": 60}, False, "", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", JUDGED)
def test_which_pods_go(case: str) -> None:
    subject, changes, delete, warning, error = JUDGED[case]
    verdict = judge(subject, replace(RULES, **changes))
    assert (verdict.delete, verdict.warning, verdict.error) == (delete, warning, error)
    assert warnings([verdict]) == (f"{warning}: default/p" if warning else "")
    assert errors([verdict]) == ([f"cannot delete {error}: default/p"] if error else [])
