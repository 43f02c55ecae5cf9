"""[sig-apps] Job: pods that come to an end, counted; by index, with policies for failure and success."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.conformance.api import Api
from tests.conformance.objects import SLEEP, container, named
from tests.conformance.space import Space, condition, eventually, new_namespace
from tests.e2e.harness import Cluster

from steersman.api.resources import JOBS, PODS
from steersman.machinery.meta import Obj, labels_of, name_of, uid_of

pytestmark = pytest.mark.root

JOB = "[sig-apps] Job should"
POLICY = "[sig-apps] Job with successPolicy"
INDEX = "batch.kubernetes.io/job-completion-index"
ODD_FAIL = "exit $((JOB_COMPLETION_INDEX % 2))"
FIRST_ENDS = f"if [ $JOB_COMPLETION_INDEX -eq 0 ]; then exit 0; fi; {SLEEP}"


def job(name: str, script: str, *, pod: Obj | None = None, parallelism: int = 4, completions: int = 4, **spec: Any) -> Obj:
    """`pod`: more of the pods' spec."""
    of_pods = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "containers": [container(script, volumeMounts=[{"name": "data", "mountPath": "/data"}])],
        "volumes": [{"name": "data", "emptyDir": {}}],
        **(pod or {}),
    }
    template = {"metadata": {"labels": {"job": name}}, "spec": of_pods}
    return named(name, {"job": name}, spec={"parallelism": parallelism, "completions": completions, "template": template, **spec})


def indexed(name: str, script: str, **spec: Any) -> Obj:
    return job(name, script, completionMode="Indexed", **spec)


def failing(action: str, code: int) -> Obj:
    rule = {"action": action, "onExitCodes": {"containerName": "main", "operator": "In", "values": [code]}}
    return {"rules": [rule]}


BEGUN = (
    indexed("indexed", "hostname"),
    job("restarted", "test -e /data/seen && exit 0; touch /data/seen; exit 1", pod={"restartPolicy": "OnFailure"}),
    indexed("exit-code", f"test $JOB_COMPLETION_INDEX -ne 0 || exit 3; {SLEEP}", podFailurePolicy=failing("FailJob", 3)),
    indexed("per-index", ODD_FAIL, backoffLimitPerIndex=1),
    indexed("fail-index", ODD_FAIL, backoffLimitPerIndex=1, podFailurePolicy=failing("FailIndex", 1)),
    indexed("too-many", f"test $JOB_COMPLETION_INDEX -ne 0 || exit 1; {SLEEP}", backoffLimitPerIndex=0, maxFailedIndexes=0),
    indexed("all", "true", successPolicy={"rules": [{"succeededIndexes": "0-3"}]}),
    indexed("some", FIRST_ENDS, successPolicy={"rules": [{"succeededIndexes": "0"}]}),
    indexed("count", FIRST_ENDS, successPolicy={"rules": [{"succeededCount": 1}]}),
)
"""Jobs that need nobody: they run at the same time, and each test looks at what became of one."""


@pytest.fixture(scope="module")
def begun(cluster: Cluster, api: Api, image: str) -> Iterator[Space]:
    with new_namespace(api, "jobs") as name:
        made = Space(cluster, api, name)
        for each in BEGUN:
            made.create(JOBS, each)
        yield made


def over(space: Space, name: str) -> Obj:
    """The job as it is when it is complete or has failed; nothing of it runs then."""
    found = space.until(JOBS, name, lambda it: "True" in (condition(it, "Complete"), condition(it, "Failed")))
    assert not found["status"].get("active") and not found["status"].get("uncountedTerminatedPods")
    return found


def outcome(found: Obj) -> dict[str, str]:
    """What the conditions that hold give as their reason."""
    return {it["type"]: it["reason"] for it in found["status"]["conditions"] if it["status"] == "True"}


def numbers(found: Obj) -> Obj:
    keys = ("succeeded", "failed", "completedIndexes", "failedIndexes")
    return {key: found["status"][key] for key in keys if found["status"].get(key)}


REACHED = {"SuccessCriteriaMet": "CompletionsReached", "Complete": "CompletionsReached"}


@pytest.mark.conformance(f"{JOB} create pods for an Indexed job with completion indexes and specified hostname [Conformance]")
def test_pods_of_an_indexed_job_know_their_index(begun: Space) -> None:
    found = over(begun, "indexed")
    assert outcome(found) == REACHED and numbers(found) == {"succeeded": 4, "completedIndexes": "0-3"}
    pods = begun.list(PODS, "job=indexed")
    assert sorted(it["metadata"]["annotations"][INDEX] for it in pods) == ["0", "1", "2", "3"]
    for each in pods:
        index = each["metadata"]["annotations"][INDEX]
        assert labels_of(each)[INDEX] == index
        assert each["spec"]["hostname"] == f"indexed-{index}" == begun.logs(name_of(each)).strip()
        (variable,) = each["spec"]["containers"][0]["env"]
        assert variable["name"] == "JOB_COMPLETION_INDEX"
        assert variable["valueFrom"]["fieldRef"]["fieldPath"] == f"metadata.labels['{INDEX}']"


@pytest.mark.conformance(f"{JOB} run a job to completion when tasks sometimes fail and are locally restarted [Conformance]")
def test_pods_that_fail_once_are_restarted_in_place(begun: Space) -> None:
    found = over(begun, "restarted")
    assert outcome(found) == REACHED and numbers(found) == {"succeeded": 4}
    restarts = [it["status"]["containerStatuses"][0]["restartCount"] for it in begun.list(PODS, "job=restarted")]
    assert restarts == [1] * 4


@pytest.mark.conformance(f"{JOB} allow to use the pod failure policy on exit code to fail the job early [Conformance]")
def test_an_exit_code_fails_the_job(begun: Space) -> None:
    found = over(begun, "exit-code")
    assert outcome(found) == {"FailureTarget": "PodFailurePolicy", "Failed": "PodFailurePolicy"}
    (failed,) = (it for it in found["status"]["conditions"] if it["type"] == "Failed")
    (culprit,) = begun.list(PODS, f"job=exit-code,{INDEX}=0")
    assert failed["message"] == (
        f"Container main for pod {begun.name}/{name_of(culprit)} failed with exit code 3 matching FailJob rule at index 0"
    )


@pytest.mark.conformance(f"{JOB} mark indexes as failed when the FailIndex action is matched in podFailurePolicy [Conformance]")
def test_an_index_that_fails_by_rule_is_not_tried_again(begun: Space) -> None:
    found = over(begun, "fail-index")
    assert outcome(found) == {"FailureTarget": "FailedIndexes", "Failed": "FailedIndexes"}
    assert numbers(found) == {"succeeded": 2, "failed": 2, "completedIndexes": "0,2", "failedIndexes": "1,3"}


@pytest.mark.conformance(
    f"{JOB} terminate job execution when the number of failed indexes exceeds maxFailedIndexes [Conformance]"
)
def test_too_many_failed_indexes_end_the_job(begun: Space) -> None:
    found = over(begun, "too-many")
    assert outcome(found) == {"FailureTarget": "MaxFailedIndexesExceeded", "Failed": "MaxFailedIndexesExceeded"}
    # Those that ran were ended, and count as failed as well; the index is that of the culprit.
    assert numbers(found) == {"failed": 4, "failedIndexes": "0"}


@pytest.mark.parametrize(
    ("name", "completed"),
    [
        pytest.param(
            "all",
            "0-3",
            marks=pytest.mark.conformance(f"{POLICY} should succeeded when all indexes succeeded [Conformance]"),
        ),
        pytest.param(
            "some",
            "0",
            marks=pytest.mark.conformance(
                f"{POLICY} succeededIndexes rule should succeeded even when some indexes remain pending [Conformance]"
            ),
        ),
        pytest.param(
            "count",
            "0",
            marks=pytest.mark.conformance(
                f"{POLICY} succeededCount rule should succeeded even when some indexes remain pending [Conformance]"
            ),
        ),
    ],
)
def test_a_job_is_complete_when_its_policy_says_so(begun: Space, name: str, completed: str) -> None:
    found = over(begun, name)
    assert outcome(found) == {"SuccessCriteriaMet": "SuccessPolicy", "Complete": "SuccessPolicy"}
    assert found["status"]["completedIndexes"] == completed and not found["status"]["terminating"]
    assert not any(it["status"]["phase"] == "Running" for it in begun.list(PODS, f"job={name}"))


@pytest.mark.conformance(
    f"{JOB} allow to use a pod failure policy to ignore failure matching on DisruptionTarget condition [Conformance]"
)
def test_evictions_are_no_failures(space: Space) -> None:
    # What the first pod of an index leaves, the second finds.
    marked = space.cluster.state / space.name
    marks = {"name": "data", "hostPath": {"path": str(marked), "type": "DirectoryOrCreate"}}
    script = "m=/data/$JOB_COMPLETION_INDEX; test -e $m && exit 0; touch $m; exec sleep 3600"
    rules = [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
    made = indexed("w", script, pod={"volumes": [marks]}, completions=2, backoffLimit=0, podFailurePolicy={"rules": rules})
    space.create(JOBS, made)
    space.until(JOBS, "w", lambda it: it["status"]["ready"] == 2)
    # That a container runs does not say how far its shell is.
    eventually(lambda: len(list(marked.iterdir())) == 2)
    for each in space.list(PODS):
        space.evict(name_of(each))
    found = over(space, "w")
    assert outcome(found) == REACHED and numbers(found) == {"succeeded": 2, "completedIndexes": "0,1"}


def active(space: Space, name: str = "w", count: int = 2) -> list[Obj]:
    """The pods, once that many run."""
    space.create(JOBS, job(name, SLEEP, parallelism=count))
    space.until(JOBS, name, lambda it: it["status"].get("active") == it["status"].get("ready") == count)
    return space.list(PODS, f"job={name}")


@pytest.mark.conformance(f"{JOB} delete a job [Conformance]")
def test_a_job_is_deleted_with_its_pods(space: Space) -> None:
    assert len(active(space)) == 2
    space.delete(JOBS, "w", propagation="Foreground")
    space.gone(JOBS, "w")
    assert space.list(PODS) == []


@pytest.mark.conformance(f"{JOB} adopt matching orphans and release non-matching pods [Conformance]")
def test_orphans_are_adopted_and_strangers_released(space: Space) -> None:
    first, second = active(space)
    its_job = uid_of(space.get(JOBS, "w"))

    def owners(name: str) -> list[str]:
        return [it["uid"] for it in space.get(PODS, name)["metadata"].get("ownerReferences") or ()]

    with space.watching(PODS, field_selector=f"metadata.name={name_of(first)}") as watching:
        space.patch(PODS, name_of(first), {"metadata": {"ownerReferences": None}})
        while watching.until("MODIFIED")["metadata"].get("ownerReferences"):
            pass
        eventually(lambda: owners(name_of(first)) == [its_job])
    space.patch(PODS, name_of(second), {"metadata": {"labels": None}})
    eventually(lambda: owners(name_of(second)) == [])
    # It is not the job's any more, and neither is its end.
    eventually(lambda: not space.get(PODS, name_of(second))["metadata"].get("finalizers"))
    # Another takes its place; only then does the status speak of these two, and not of those before.
    found = eventually(lambda: len(now := space.list(PODS, "job=w")) == 2 and now)
    assert name_of(first) in map(name_of, found)
    space.until(JOBS, "w", lambda it: it["status"].get("active") == it["status"].get("ready") == 2)


@pytest.mark.conformance(f"{JOB} apply changes to a job status [Conformance]")
def test_the_status_of_a_job_is_changed(space: Space) -> None:
    active(space)
    started = space.get(JOBS, "w", subresource="status")["status"]["startTime"]
    change: Obj = {
        "metadata": {"annotations": {"patched": "true"}},
        "status": {"conditions": [{"type": "E2E", "status": "True"}]},
    }
    found = space.patch(JOBS, "w", change, subresource="status")
    assert found["metadata"]["annotations"] == {"patched": "true"} and found["status"]["startTime"] == started

    def update() -> Obj:
        now = space.get(JOBS, "w", subresource="status")
        now["status"]["conditions"] = [{"type": "Updated", "status": "True", "reason": "E2E", "message": "Set from an e2e test"}]
        return space.update(JOBS, now, subresource="status")

    eventually(update)
    assert condition(space.get(JOBS, "w", subresource="status"), "Updated") == "True"


@pytest.mark.conformance(f"{JOB} manage the lifecycle of a job [Conformance]")
def test_the_life_of_a_job(space: Space) -> None:
    label = f"e2e-job={space.name}"
    with space.watching(JOBS) as watching:
        made = job("w", "true", suspend=True)
        made["metadata"]["labels"] = {"e2e-job": space.name}
        space.create(JOBS, made)
        assert watching.next().type == "ADDED"
        space.until(JOBS, "w", lambda it: condition(it, "Suspended") == "True")
        assert space.list(PODS) == []
        found = space.patch(JOBS, "w", {"metadata": {"labels": {"patched": "true"}}}, kind="strategic")
        assert labels_of(found) == {"e2e-job": space.name, "patched": "true"}

        def replace() -> Obj:
            now = space.get(JOBS, "w")
            now["spec"]["suspend"] = False
            now["metadata"]["annotations"] = {"updated": "true"}
            return space.update(JOBS, now)

        assert eventually(replace)["metadata"]["annotations"]["updated"] == "true"
        over(space, "w")
        assert [name_of(it) for it in space.api.list(JOBS, label_selector=label)["items"]] == ["w"]
        space.delete_collection(JOBS, label)
        watching.until("DELETED")
    assert space.list(JOBS) == []


@pytest.mark.conformance(f"{JOB} execute all indexes despite some failing when using backoffLimitPerIndex [Conformance]")
def test_every_index_has_tries_of_its_own(begun: Space) -> None:
    # The last test, for this is the job that takes longest: the second try waits ten seconds.
    found = over(begun, "per-index")
    assert outcome(found) == {"FailureTarget": "FailedIndexes", "Failed": "FailedIndexes"}
    assert numbers(found) == {"succeeded": 2, "failed": 4, "completedIndexes": "0,2", "failedIndexes": "1,3"}
