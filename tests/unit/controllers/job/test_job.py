"""The job controller: completions, failures, indexes, suspension; and its law, that every pod is counted exactly once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.controllers.world import World

from steersman.api.resources import JOBS, PODS
from steersman.controllers import job
from steersman.controllers.job.pods import FAILURES, FINALIZER, INDEX
from steersman.loop.spec import Action, Fetch, Update
from steersman.machinery.errors import Conflict, InternalError
from steersman.machinery.meta import (
    Obj,
    annotations_of,
    condition,
    format_time,
    is_condition_true,
    is_deleting,
    labels_of,
    name_of,
)

LABELS = {"batch.kubernetes.io/controller-uid": "u", "batch.kubernetes.io/job-name": "sum"}


def a_job(**spec: Any) -> Obj:
    """As the API server stores it, with defaults."""
    restart = spec.pop("restartPolicy", "Never")
    template = {"metadata": {"labels": LABELS}, "spec": {"restartPolicy": restart, "containers": [{"name": "c", "image": "i"}]}}
    defaults = {"parallelism": 1, "completions": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": False}
    spec = {**defaults, "podReplacementPolicy": "TerminatingOrFailed", "selector": {"matchLabels": LABELS}, **spec}
    return {"metadata": {"name": "sum", "uid": "u"}, "spec": {**spec, "template": template}}


class Factory(World):
    """A job and a kubelet that ends its pods when told."""

    def __init__(self, **spec: Any) -> None:
        super().__init__(job.SPEC)
        self.put(JOBS, a_job(**spec))
        self.settle()

    @property
    def job(self) -> Obj:
        found = self.get(JOBS, "default", "sum")
        assert found is not None
        return found

    @property
    def status(self) -> Obj:
        """The numbers that aren't 0."""
        found: Obj = self.job.get("status") or {}
        return {key: found[key] for key in ("active", "ready", "terminating", "succeeded", "failed") if found.get(key)}

    def active(self) -> list[Obj]:
        pods = [
            pod for pod in self.list(PODS) if not is_deleting(pod) and (pod.get("status") or {}).get("phase") in (None, "Running")
        ]
        return sorted(pods, key=lambda pod: (int(annotations_of(pod).get(INDEX, "0")), name_of(pod)))

    def run(self) -> None:
        """All pods that aren't running do."""
        for pod in self.active():
            if not pod.get("status"):
                self.edit(PODS, name_of(pod), lambda found: found["spec"].update(nodeName="n1"))
                self.make_ready(pod)
        self.settle()

    def end(self, pod: Obj, *, code: int = 0, conditions: list[Obj] | None = None) -> None:
        state = {"terminated": {"exitCode": code, "finishedAt": format_time(self.now)}}
        status: Obj = {"phase": "Failed" if code else "Succeeded", "containerStatuses": [{"name": "c", "state": state}]}
        status["conditions"] = conditions or []
        self.edit(PODS, name_of(pod), lambda found: found.update(status=status))
        self.settle()

    def end_one(self, code: int = 0, **how: Any) -> None:
        self.end(self.active()[0], code=code, **how)

    def pass_time(self, seconds: float) -> None:
        self.advance(seconds)
        self.settle()

    def gone(self) -> None:
        """What was to be terminated has."""
        for pod in self.list(PODS):
            if is_deleting(pod):
                self.edit(PODS, name_of(pod), lambda found: found["metadata"].pop("deletionGracePeriodSeconds", None))
        self.settle()

    def reason(self, kind: str) -> str:
        found = condition(self.job, kind)
        return str(found["reason"]) if found and found["status"] == "True" else ""

    def tracked(self) -> int:
        return sum(FINALIZER in (pod["metadata"].get("finalizers") or ()) for pod in self.list(PODS))


def test_a_job_is_complete_when_enough_pods_have_succeeded() -> None:
    f = Factory(completions=3, parallelism=2)
    assert f.status == {"active": 2} and f.tracked() == 2
    f.run()
    assert f.status == {"active": 2, "ready": 2}
    f.end_one()
    assert f.status == {"active": 2, "ready": 1, "succeeded": 1}
    f.run()
    f.end_one()
    assert f.status == {"active": 1, "ready": 1, "succeeded": 2}
    f.end_one()
    assert f.status == {"succeeded": 3} and f.tracked() == 0 and len(f.list(PODS)) == 3
    assert f.reason("SuccessCriteriaMet") == f.reason("Complete") == "CompletionsReached"
    assert f.job["status"]["completionTime"] and f.job["status"]["uncountedTerminatedPods"] == {}
    assert f.events("Completed") == ["Job completed"] and len(f.events("SuccessfulCreate")) == 3
    f.writes.clear()
    assert f.reconcile(job.SPEC, ("default", "sum")) == []


def test_without_completions_one_success_ends_it_once_the_others_have_ended() -> None:
    f = Factory(completions=None, parallelism=3)
    f.end_one()
    assert f.status == {"active": 2, "succeeded": 1} and not f.reason("Complete")
    f.end_one(1)
    f.end_one()
    assert f.reason("Complete") and f.status == {"succeeded": 2, "failed": 1}


def test_failures_are_retried_later_and_later_until_the_limit() -> None:
    f = Factory(backoffLimit=2)
    for pause_s in (10, 20):
        f.end_one(1)
        assert f.active() == []
        f.pass_time(pause_s - 1)
        assert f.active() == []
        f.pass_time(1)
        assert len(f.active()) == 1
    f.end_one(1)
    assert f.reason("FailureTarget") == f.reason("Failed") == "BackoffLimitExceeded"
    assert f.status == {"failed": 3} and f.tracked() == 0
    assert f.events("BackoffLimitExceeded") == ["Job has reached the specified backoff limit"]


def test_a_success_ends_the_back_off() -> None:
    f = Factory(completions=3, parallelism=1)
    f.end_one(1)
    f.pass_time(10)
    f.now += timedelta(seconds=5)
    f.end_one()
    assert len(f.active()) == 1


def test_when_it_fails_the_others_are_ended_and_counted_before_it_is_failed() -> None:
    f = Factory(completions=3, parallelism=3, backoffLimit=0)
    f.run()
    f.end_one(1)
    assert f.reason("FailureTarget") and not f.reason("Failed") and f.status == {"terminating": 2, "failed": 3}
    f.gone()
    assert f.reason("Failed") and f.status == {"failed": 3} and f.tracked() == 0


def test_restarts_count_where_containers_are_restarted() -> None:
    f = Factory(restartPolicy="OnFailure", backoffLimit=2)
    f.run()
    for restarts, over in ((1, False), (2, True)):
        (pod,) = f.list(PODS)
        f.put(PODS, {**pod, "status": {**pod["status"], "containerStatuses": [{"name": "c", "restartCount": restarts}]}})
        f.settle()
        assert bool(f.reason("FailureTarget")) == over


def test_the_deadline_ends_it_without_an_event() -> None:
    f = Factory(activeDeadlineSeconds=30)
    f.run()
    f.pass_time(29)
    assert not f.reason("FailureTarget")
    f.pass_time(1)
    f.gone()
    assert f.reason("Failed") == "DeadlineExceeded"


def test_a_suspended_job_has_no_pods_and_starts_anew_when_resumed() -> None:
    f = Factory(suspend=True, activeDeadlineSeconds=60)
    assert f.active() == [] and f.reason("Suspended") == "JobSuspended" and "startTime" not in f.job["status"]
    f.edit(JOBS, "sum", lambda found: found["spec"].update(suspend=False))
    f.settle()
    f.run()
    assert len(f.active()) == 1 and f.job["status"]["startTime"] == format_time(f.now)
    f.edit(JOBS, "sum", lambda found: found["spec"].update(suspend=True))
    f.settle()
    f.gone()
    assert f.list(PODS) == [] and "startTime" not in f.job["status"] and f.status == {}, "suspended pods are no failures"
    f.pass_time(100)
    f.edit(JOBS, "sum", lambda found: found["spec"].update(suspend=False))
    f.settle()
    assert len(f.active()) == 1 and not f.reason("FailureTarget")
    assert f.events("Suspended") == ["Job suspended"] * 2 and f.events("Resumed") == ["Job resumed"] * 2


def test_less_parallelism_takes_pods_away_without_calling_them_failed() -> None:
    f = Factory(completions=5, parallelism=4)
    f.run()
    f.edit(JOBS, "sum", lambda found: found["spec"].update(parallelism=1))
    f.settle()
    f.gone()
    assert f.status == {"active": 1, "ready": 1} and len(f.list(PODS)) == 1


def test_deleted_pods_are_replaced_at_once_or_when_they_have_ended() -> None:
    for policy, at_once in (("TerminatingOrFailed", 1), ("Failed", 0)):
        f = Factory(podReplacementPolicy=policy)
        f.run()
        (pod,) = f.active()
        f.edit(
            PODS,
            name_of(pod),
            lambda found: found["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z", deletionGracePeriodSeconds=30),
        )
        f.settle()
        f.pass_time(10)
        assert len(f.active()) == at_once
        assert f.status.get("failed", 0) == at_once


# --- indexes ------------------------------------------------------------------------------------------------------------


def test_indexed_pods_know_their_index_and_the_status_lists_what_is_done() -> None:
    f = Factory(completionMode="Indexed", completions=6, parallelism=6)
    first = f.active()[0]
    assert name_of(first).startswith("sum-0-") and first["spec"]["hostname"] == "sum-0"
    assert annotations_of(first)[INDEX] == labels_of(first)[INDEX] == "0"
    assert first["spec"]["containers"][0]["env"][0]["valueFrom"] == {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}
    pods = f.active()
    for index in (1, 3, 4, 5):
        f.end(pods[index])
    assert f.job["status"]["completedIndexes"] == "1,3-5" and f.status["succeeded"] == 4
    f.end(pods[0], code=1)
    f.pass_time(10)
    assert [annotations_of(pod)[INDEX] for pod in f.active()] == ["0", "2"]
    f.end_one()
    f.end_one()
    assert f.job["status"]["completedIndexes"] == "0-5" and f.reason("Complete") and f.status == {"succeeded": 6, "failed": 1}


def test_a_second_pod_of_an_index_and_one_out_of_range_are_removed() -> None:
    f = Factory(completionMode="Indexed", completions=2, parallelism=2)
    pod = f.active()[0]
    for name, index in (("twin", "0"), ("beyond", "7")):
        meta = {**pod["metadata"], "name": name, "uid": name, "annotations": {INDEX: index}}
        f.put(PODS, {**pod, "metadata": meta})
    f.settle()
    assert sorted(annotations_of(pod)[INDEX] for pod in f.active()) == ["0", "1"] and len(f.list(PODS)) == 2


def test_an_index_fails_alone_after_its_own_limit_and_remembers_its_failures() -> None:
    f = Factory(completionMode="Indexed", completions=2, parallelism=2, backoffLimitPerIndex=1, backoffLimit=2**31 - 1)
    f.end_one(1)
    assert f.tracked() == 2, "the failed pod remembers, until its successor is there"
    f.pass_time(10)
    again = f.active()[0]
    assert annotations_of(again)[FAILURES] == "1" and f.status == {"active": 2, "failed": 1}
    f.end(again, code=1)
    assert f.job["status"]["failedIndexes"] == "0" and not f.reason("FailureTarget")
    f.pass_time(1000)
    assert [annotations_of(pod)[INDEX] for pod in f.active()] == ["1"]
    f.end_one()
    assert f.reason("Failed") == "FailedIndexes" and f.status == {"succeeded": 1, "failed": 2} and f.tracked() == 0


def test_too_many_failed_indexes_end_the_job() -> None:
    f = Factory(
        completionMode="Indexed", completions=4, parallelism=4, backoffLimitPerIndex=0, maxFailedIndexes=1, backoffLimit=99
    )
    f.end_one(1)
    assert not f.reason("FailureTarget")
    f.end_one(1)
    assert f.reason("FailureTarget") == "MaxFailedIndexesExceeded"


def test_a_success_policy_ends_the_job_early() -> None:
    rules = [{"succeededIndexes": "0", "succeededCount": 2}, {"succeededIndexes": "1-2", "succeededCount": 1}]
    f = Factory(completionMode="Indexed", completions=4, parallelism=4, successPolicy={"rules": rules})
    f.run()
    pods = f.active()
    f.end(pods[0])
    assert not f.reason("SuccessCriteriaMet")
    f.end(pods[2])
    assert f.reason("SuccessCriteriaMet") == "SuccessPolicy"
    assert (condition(f.job, "SuccessCriteriaMet") or {})["message"] == "Matched rules at index 1"
    f.gone()
    assert f.reason("Complete") == "SuccessPolicy" and f.job["status"]["completedIndexes"] == "0,2"


# --- rules about failures -----------------------------------------------------------------------------------------------

OTHER = {"onExitCodes": {"operator": "In", "values": [42], "containerName": "x"}}
NOT_42 = {"onExitCodes": {"operator": "NotIn", "values": [42]}}
EXIT_42 = {"onExitCodes": {"operator": "In", "values": [42]}}
DISRUPTED = {"onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
RULES: list[tuple[str, Obj, int, bool, str, int]] = [
    ("a code that fails the job", {**EXIT_42, "action": "FailJob"}, 42, False, "PodFailurePolicy", 1),
    ("another code", {**EXIT_42, "action": "FailJob"}, 1, False, "", 1),
    ("a code but of another container", {**OTHER, "action": "FailJob"}, 42, False, "", 1),
    ("not one of the codes", {**NOT_42, "action": "FailJob"}, 1, False, "PodFailurePolicy", 1),
    ("a disruption that is ignored", {**DISRUPTED, "action": "Ignore"}, 1, True, "", 0),
    ("a failure that is counted", {**EXIT_42, "action": "Count"}, 42, False, "", 1),
]  # fmt: skip


@pytest.mark.parametrize(("why", "rule", "code", "disrupted", "reason", "failed"), RULES, ids=[case[0] for case in RULES])
def test_pod_failure_policies(why: str, rule: Obj, code: int, disrupted: bool, reason: str, failed: int) -> None:
    f = Factory(podFailurePolicy={"rules": [rule]}, podReplacementPolicy="Failed")
    conditions = [{"type": "DisruptionTarget", "status": "True"}] if disrupted else []
    name = name_of(f.active()[0])
    f.end_one(code, conditions=conditions)
    assert (f.reason("Failed"), f.status.get("failed", 0)) == (reason, failed)
    if reason:
        text = f"Container c for pod default/{name} failed with exit code {code} matching FailJob rule at index 0"
        assert f.events("PodFailurePolicy") == [text]


def test_an_index_can_be_failed_by_rule() -> None:
    policy = {"rules": [{**EXIT_42, "action": "FailIndex"}]}
    f = Factory(completionMode="Indexed", completions=2, parallelism=2, backoffLimitPerIndex=5, podFailurePolicy=policy)
    f.end_one(42)
    assert f.job["status"]["failedIndexes"] == "0" and f.tracked() == 1


# --- whose pods ---------------------------------------------------------------------------------------------------------


def test_pods_of_a_job_that_is_gone_are_let_go() -> None:
    f = Factory(parallelism=2, completions=2)
    first, second = f.list(PODS)
    f.edit(PODS, name_of(first), lambda pod: pod["metadata"].update(ownerReferences=[]))
    f.remove(JOBS, "sum")
    f.settle()
    f.edit(PODS, name_of(second), lambda pod: pod["metadata"].update(labels={}))
    f.settle()
    assert f.tracked() == 0


def test_a_job_managed_by_others_is_left_alone() -> None:
    f = Factory(managedBy="example.com/other")
    assert f.writes == []


def test_orphans_that_match_are_adopted_and_tracked() -> None:
    f = World(job.SPEC)
    f.put(PODS, {"metadata": {"name": "orphan", "labels": LABELS}, "spec": {}})
    f.put(JOBS, a_job(manualSelector=True))
    f.settle()
    (pod,) = f.list(PODS)
    assert pod["metadata"]["finalizers"] == [FINALIZER] and pod["metadata"]["ownerReferences"]


# --- the law ------------------------------------------------------------------------------------------------------------

ENDS = st.lists(st.tuples(st.sampled_from(["succeed", "fail", "delete", "wait"]), st.integers(0, 5)), max_size=25)


@settings(max_examples=100, deadline=None)
@given(ENDS, st.lists(st.booleans(), max_size=60), st.sampled_from(["Indexed", "NonIndexed"]), st.booleans())
def test_every_outcome_is_counted_exactly_once_whatever_write_fails(
    ends: list[tuple[str, int]], failures: list[bool], mode: str, per_index: bool
) -> None:
    """Any write may fail, so that a turn ends after any of its steps; the numbers never lie, and are right in the end."""
    spec: Obj = {"backoffLimitPerIndex": 2, "backoffLimit": 2**31 - 1} if per_index and mode == "Indexed" else {"backoffLimit": 4}
    f = Factory(completions=6, parallelism=3, completionMode=mode, **spec)
    luck = iter(failures)

    def fault(action: Action) -> Exception | None:
        if not isinstance(action, Fetch) and next(luck, False):
            return Conflict.of("batch", "jobs", "sum") if isinstance(action, Update) else InternalError.of("a fault")
        return None

    f.fault = fault
    ended: dict[str, set[str]] = {"Succeeded": set(), "Failed": set()}

    def numbers_hold() -> None:
        status = f.job.get("status") or {}
        uncounted = status.get("uncountedTerminatedPods") or {}
        for key, names in (("succeeded", ended["Succeeded"]), ("failed", ended["Failed"])):
            # A job that fails takes its other pods with it.
            if key == "succeeded" or not is_condition_true(f.job, "FailureTarget"):
                assert status.get(key, 0) + len(uncounted.get(key) or ()) <= len(names), key

    f.after_step = numbers_hold
    for what, place in ends:
        f.run()
        pods = f.active()
        if what == "wait":
            f.pass_time(120)
        elif place < len(pods) and not any(is_condition_true(f.job, kind) for kind in ("FailureTarget", "SuccessCriteriaMet")):
            name = name_of(pods[place])
            ended["Succeeded" if what == "succeed" else "Failed"].add(name)
            if what == "delete":
                f.edit(PODS, name, lambda pod: pod["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z"))
                f.settle()
            else:
                f.end(pods[place], code=what == "fail")
    f.fault = lambda _: None
    for _ in range(8):
        f.pass_time(700)
        f.gone()
    status = f.job["status"]
    assert status["uncountedTerminatedPods"] == {}
    assert status.get("succeeded", 0) == len(ended["Succeeded"])
    waiting = f.tracked() - len(f.active())
    if not is_condition_true(f.job, "FailureTarget"):
        assert status.get("failed", 0) + waiting == len(ended["Failed"])
    assert not (is_condition_true(f.job, "Failed") or is_condition_true(f.job, "Complete")) or f.tracked() == 0
