"""`kubectl rollout` against an API server in process."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from typing import Any

import pytest
from tests.fakes.server import World, world
from tests.unit.cli.kubectl.commands.line import Ran, ran

from steersman.cli.kubectl.commands.rollout.status import STATUS
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, dig

DEPLOYMENTS = Resource("apps", "v1", "deployments")
REPLICA_SETS = Resource("apps", "v1", "replicasets")
DAEMON_SETS = Resource("apps", "v1", "daemonsets")
STATEFUL_SETS = Resource("apps", "v1", "statefulsets")
REVISIONS = Resource("apps", "v1", "controllerrevisions")
TEMPLATE: Obj = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "img:2"}]}}
DONE: dict[Resource, Obj] = {
    DEPLOYMENTS: {"observedGeneration": 9, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2},
    DAEMON_SETS: {
        "observedGeneration": 9, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2,
        "currentNumberScheduled": 2, "numberMisscheduled": 0, "numberReady": 2,
    },
    STATEFUL_SETS: {"observedGeneration": 9, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 2},
}  # fmt: skip


def workload(kind: str, name: str, **spec: Any) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": deepcopy(TEMPLATE), **spec},
    }


def _template(image: str, **labels: str) -> Obj:
    made = deepcopy(TEMPLATE)
    made["spec"]["containers"][0]["image"] = image
    made["metadata"]["labels"].update(labels)
    return made


async def _start(made: World) -> None:
    """One of each sort, all rolled out; the Deployment and the StatefulSet with two revisions."""
    created: dict[Resource, Obj] = {}
    for resource, obj in (
        (DEPLOYMENTS, workload("Deployment", "web", replicas=2)),
        (DAEMON_SETS, workload("DaemonSet", "ds")),
        (STATEFUL_SETS, workload("StatefulSet", "db", replicas=2, serviceName="db")),
    ):
        stored = created[resource] = await made.client.create(resource, obj)
        await made.client.update(resource, {**stored, "status": DONE[resource]}, subresource="status")
    await made.client.patch(
        DEPLOYMENTS, "web", {"metadata": {"annotations": {"deployment.kubernetes.io/revision": "2"}}}, "default"
    )
    for number, image in ((1, "img:1"), (2, "img:2")):
        held = {"deployment.kubernetes.io/revision": str(number)}
        if number == 1:
            held["kubernetes.io/change-cause"] = "first"
        replica_set = workload("ReplicaSet", f"web-{number}")
        replica_set["metadata"] |= {
            "labels": {"app": "web"},
            "annotations": held,
            "ownerReferences": [_owner(created[DEPLOYMENTS])],
        }
        labels = {"app": "web", "pod-template-hash": str(number)}
        replica_set["spec"] = {"selector": {"matchLabels": labels}, "template": _template(image, **labels)}
        await made.client.create(REPLICA_SETS, replica_set)
        revision = {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {
                "name": f"db-{number}", "namespace": "default", "labels": {"app": "web"},
                "ownerReferences": [_owner(created[STATEFUL_SETS])],
            },
            "revision": number,
            "data": {"spec": {"template": {**_template(image), "$patch": "replace"}}},
        }  # fmt: skip
        await made.client.create(REVISIONS, revision)


def _owner(obj: Obj) -> Obj:
    meta = obj["metadata"]
    return {"apiVersion": "apps/v1", "kind": obj["kind"], "name": meta["name"], "uid": meta["uid"], "controller": True}


def run(*lines: str) -> tuple[Ran, Obj, Obj]:
    """What the last line tells; the Deployment and the StatefulSet afterwards."""

    async def scenario() -> tuple[Ran, Obj, Obj]:
        async with world() as made:
            await _start(made)
            for line in lines:
                told = await ran(f"rollout {line}", transport=made.transport, clock=made.clock)
            deployment = await made.client.get(DEPLOYMENTS, "web", "default")
            return told, deployment, await made.client.get(STATEFUL_SETS, "db", "default")

    return asyncio.run(scenario())


TOLD = {
    "status deploy/web": (0, 'deployment "web" successfully rolled out\n', ""),
    "status deploy/web --revision=1": (1, "", "error: desired revision (1) is different from the running revision (2)\n"),
    "status ds/ds": (0, 'daemon set "ds" successfully rolled out\n', ""),
    "status sts/db": (0, "partitioned roll out complete: 2 new pods have been updated...\n", ""),
    "status deploy/nope": (1, "", 'Error from server (NotFound): deployments.apps "nope" not found\n'),
    "status deploy -l a=b": (0, "", "No resources found in default namespace.\n"),
    "status": (1, "", "error: required resource not specified\n"),
    "history deploy/web": (0, "deployment.apps/web \nREVISION  CHANGE-CAUSE\n1         first\n2         <none>\n\n", ""),
    "history sts/db": (0, "statefulset.apps/db \nREVISION  CHANGE-CAUSE\n1         <none>\n2         <none>\n\n", ""),
    "history deploy/web --revision=7": (1, "", "error: unable to find the specified revision\n"),
    "history deploy/web --revision=-1": (1, "", "error: revision must be a positive integer: -1\n"),
    "history deploy/web -o jsonpath={.metadata.name}": (0, "web-1web-2", ""),
    "pause deploy/web": (0, "deployment.apps/web paused\n", ""),
    "pause ds/ds": (1, "", 'error: daemonsets.apps "ds" pausing is not supported\n'),
    "resume deploy/web": (1, "", 'error: deployments.apps "web" is not paused\n'),
    "restart deploy/web ds/ds": (0, "deployment.apps/web restarted\ndaemonset.apps/ds restarted\n", ""),
    "undo deploy/web": (0, "deployment.apps/web rolled back\n", ""),
    "undo deploy/web --to-revision=2": (
        0, "deployment.apps/web skipped rollback (current template already matches revision 2)\n", "",
    ),
    "undo deploy/web --to-revision=7": (1, "", "error: unable to find specified revision 7 in history\n"),
    "undo deploy/web --dry-run=server": (0, "deployment.apps/web rolled back (server dry run)\n", ""),
    "undo ds/ds": (1, "", "error: no last revision to roll back to\n"),
    "undo sts/db": (0, "statefulset.apps/db rolled back\n", ""),
}  # fmt: skip


@pytest.mark.parametrize("line", TOLD)
def test_what_is_told_is_what_upstream_tells(line: str) -> None:
    assert run(line)[0] == TOLD[line]


def test_a_revision_in_detail_shows_its_template_with_tabs() -> None:
    told = run("history deploy/web --revision=1")[0].out
    assert told.startswith(
        "deployment.apps/web with revision #1\nPod Template:\n  Labels:\tapp=web\n\tpod-template-hash=1\n"
        "  Annotations:\tkubernetes.io/change-cause: first\n  Containers:\n   c:\n    Image:\timg:1\n"
    )


def test_undoing_restores_template_and_annotations() -> None:
    _, deployment, _ = run("undo deploy/web")
    assert dig(deployment, "spec", "template", "spec", "containers", 0, "image") == "img:1"
    assert "pod-template-hash" not in deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["metadata"]["annotations"]["kubernetes.io/change-cause"] == "first"
    _, _, stateful_set = run("undo sts/db")
    assert dig(stateful_set, "spec", "template", "spec", "containers", 0, "image") == "img:1"


def test_a_paused_deployment_is_neither_restarted_nor_rolled_back() -> None:
    assert run("pause deploy/web", "pause deploy/web")[0].err == 'error: deployments.apps "web" is already paused\n'
    assert "can't restart paused deployment" in run("pause deploy/web", "restart deploy/web")[0].err
    assert "you cannot rollback a paused deployment" in run("pause deploy/web", "undo deploy/web")[0].err
    told, deployment, _ = run("pause deploy/web", "resume deploy/web")
    assert told.out == "deployment.apps/web resumed\n"
    assert "paused" not in deployment["spec"]


UNDER_WAY: dict[str, tuple[Resource, Obj, str]] = {
    "deployment, unseen": (DEPLOYMENTS, {"observedGeneration": 0}, "Waiting for deployment spec update to be observed..."),
    "deployment, updating": (
        DEPLOYMENTS, {"updatedReplicas": 1},
        'Waiting for deployment "web" rollout to finish: 1 out of 2 new replicas have been updated...',
    ),
    "deployment, terminating": (
        DEPLOYMENTS, {"replicas": 3}, 'Waiting for deployment "web" rollout to finish: 1 old replicas are pending termination...',
    ),
    "deployment, starting": (
        DEPLOYMENTS, {"availableReplicas": 1},
        'Waiting for deployment "web" rollout to finish: 1 of 2 updated replicas are available...',
    ),
    "daemon set, updating": (
        DAEMON_SETS, {"updatedNumberScheduled": 1},
        'Waiting for daemon set "ds" rollout to finish: 1 out of 2 new pods have been updated...',
    ),
    "daemon set, starting": (
        DAEMON_SETS, {"numberAvailable": 0},
        'Waiting for daemon set "ds" rollout to finish: 0 of 2 updated pods are available...',
    ),
    "stateful set, starting": (STATEFUL_SETS, {"readyReplicas": 1}, "Waiting for 1 pods to be ready..."),
    "stateful set, updating": (
        STATEFUL_SETS, {"updatedReplicas": 1},
        "Waiting for partitioned roll out to finish: 1 out of 2 new pods have been updated...",
    ),
}  # fmt: skip
NAMES = {DEPLOYMENTS: "web", DAEMON_SETS: "ds", STATEFUL_SETS: "db"}


@pytest.mark.parametrize("case", UNDER_WAY)
def test_a_rollout_under_way_says_what_it_waits_for_and_then_that_it_is_done(case: str) -> None:
    resource, change, text = UNDER_WAY[case]
    name = NAMES[resource]

    async def scenario() -> Ran:
        async with world() as made:
            await _start(made)
            await made.client.patch(resource, name, {"status": change}, "default", subresource="status")
            async with asyncio.TaskGroup() as group:
                following = group.create_task(ran(f"rollout status {resource.plural}/{name}", transport=made.transport))
                await made.clock.advance(0.1)
                await made.client.patch(resource, name, {"status": DONE[resource]}, "default", subresource="status")
            return following.result()

    told = asyncio.run(scenario())
    assert told.out.splitlines()[0] == text
    assert len(told.out.splitlines()) == 2
    assert told.code == 0


def test_without_watching_the_state_is_told_once() -> None:
    assert any(flag.name == "watch" and flag.default is True for flag in STATUS.flags)

    async def scenario() -> Ran:
        async with world() as made:
            await _start(made)
            await made.client.patch(DEPLOYMENTS, "web", {"status": {"availableReplicas": 1}}, "default", subresource="status")
            return await ran("rollout status deploy/web --watch=false", transport=made.transport)

    assert asyncio.run(scenario()).out.count("\n") == 1
