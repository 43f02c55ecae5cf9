"""What is wrong with jobs and cron jobs, in upstream's words, and what the strategy makes of a new one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from steersman.api.groups.batch_v1 import CRON_JOBS, JOBS
from steersman.api.kinds import KindSpec
from steersman.machinery.meta import Obj

Change = Callable[[Obj], object]
TEMPLATE: Obj = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
INDEXED: Obj = {"completionMode": "Indexed", "completions": 5, "parallelism": 1}
PER_INDEX: Obj = INDEXED | {"backoffLimitPerIndex": 1}
UID = "batch.kubernetes.io/controller-uid"
LABELS = {UID: "u", "batch.kubernetes.io/job-name": "x", "controller-uid": "u", "job-name": "x"}
NOT_NEGATIVE = "must be greater than or equal to 0"


def made(kind: KindSpec, spec: Obj, name: str = "x", **metadata: Any) -> Obj:
    """The object as validation sees it on create."""
    obj: Obj = {"kind": kind.kind, "apiVersion": "batch/v1", "metadata": {"name": name, "uid": "u", **metadata}}
    obj["spec"] = copy.deepcopy(spec)
    kind.default(obj)
    kind.strategy.prepare_create(obj)
    return obj


def job(name: str = "x", **spec: Any) -> Obj:
    return made(JOBS, {"template": TEMPLATE} | spec, name)


def cron_job(name: str = "x", **spec: Any) -> Obj:
    return made(CRON_JOBS, {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": TEMPLATE}}} | spec, name)


def texts(errors: Any) -> list[str]:
    return [str(error) for error in errors]


def test_a_job_finds_its_pods_by_generated_labels_and_wears_them_itself() -> None:
    new = job()
    assert new["spec"]["template"]["metadata"]["labels"] == LABELS
    assert new["spec"]["selector"] == {"matchLabels": {UID: "u"}}
    assert new["metadata"]["labels"] == LABELS
    labelled = job(template={**TEMPLATE, "metadata": {"labels": {"a": "b"}}})
    assert labelled["metadata"]["labels"] == {"a": "b", **LABELS}
    assert JOBS.strategy.validate_create(labelled) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"completions": 1, "parallelism": 1, "backoffLimit": 6, "podReplacementPolicy": "TerminatingOrFailed"}),
        ({"completions": 3}, {"completions": 3, "parallelism": 1}),
        ({"parallelism": 3}, {"completions": None, "parallelism": 3}),
        (PER_INDEX, {"backoffLimit": 2147483647}),
        ({"podFailurePolicy": {"rules": []}}, {"podReplacementPolicy": "Failed"}),
        ({}, {"completionMode": "NonIndexed", "suspend": False, "manualSelector": False}),
    ],
)
def test_a_jobs_defaults_depend_on_what_is_given(given: Obj, expected: Obj) -> None:
    spec = job(**given)["spec"]
    assert {key: spec.get(key) for key in expected} == expected


def test_a_cron_job_leaves_its_template_to_the_jobs_made_from_it() -> None:
    spec = cron_job()["spec"]
    assert (spec["concurrencyPolicy"], spec["suspend"]) == ("Allow", False)
    assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"]) == (3, 1)
    assert set(spec["jobTemplate"]["spec"]) == {"template"}


def policy(**rule: Any) -> Obj:
    return {"podFailurePolicy": {"rules": [rule]}}


def success(*rules: Obj) -> Obj:
    return INDEXED | {"successPolicy": {"rules": list(rules)}}


RULE = "spec.podFailurePolicy.rules[0]"
SUCCESS = "spec.successPolicy.rules"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        (INDEXED, []),
        ({"manualSelector": True}, [
            "spec.selector: Required value",
            "spec.template.metadata.labels: Invalid value: {}: `selector` does not match template `labels`",
        ]),
        ({"selector": {"matchLabels": {"a": "b"}}}, [
            'spec.selector: Invalid value: {"matchLabels":{"a":"b","' + UID + '":"u"}}: `selector` not auto-generated',
            "spec.template.metadata.labels: Invalid value: "
            '{"' + UID + '":"u","batch.kubernetes.io/job-name":"x","controller-uid":"u","job-name":"x"}: '
            "`selector` does not match template `labels`",
        ]),
        ({"template": {**TEMPLATE, "metadata": {"labels": {"job-name": "y"}}}}, [
            'spec.template.metadata.labels[job-name]: Invalid value: {"job-name":"y","' + UID + '":"u",'
            '"batch.kubernetes.io/job-name":"x","controller-uid":"u"}: must be \'x\'',
        ]),
        ({"template": {"spec": {"containers": TEMPLATE["spec"]["containers"]}}}, [
            'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'
        ]),
        ({"parallelism": -1, "backoffLimit": -1}, [
            f"spec.parallelism: Invalid value: -1: {NOT_NEGATIVE}", f"spec.backoffLimit: Invalid value: -1: {NOT_NEGATIVE}",
        ]),
        ({"completionMode": "Some"}, [
            'spec.completionMode: Unsupported value: "Some": supported values: "Indexed", "NonIndexed"'
        ]),
        ({"completionMode": "Indexed", "parallelism": 100001}, [
            "spec.completions: Required value: when completion mode is Indexed",
            "spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed",
        ]),
        (INDEXED | {"maxFailedIndexes": 6}, [
            "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
            "spec.maxFailedIndexes: Invalid value: 6: must be less than or equal to completions",
        ]),
        (PER_INDEX | {"completions": 100001, "parallelism": 10001}, [
            "spec.maxFailedIndexes: Required value: must be specified when completions is above 100000",
            "spec.parallelism: Invalid value: 10001: must be less than or equal to 10000 when completions are above 100000 and "
            "used with backoff limit per index",
        ]),
        ({"backoffLimitPerIndex": 1, "successPolicy": {}}, [
            "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode",
            "spec.successPolicy: Invalid value: {}: requires indexed completion mode",
        ]),
        ({"managedBy": "nobody"}, [
            'spec.managedBy: Invalid value: "nobody": must be a domain-prefixed path (such as "acme.io/foo")'
        ]),
        (policy(), [
            f'{RULE}.action: Required value: valid values: ["Count" "FailIndex" "FailJob" "Ignore"]',
            f"{RULE}: Invalid value: specifying one of OnExitCodes and OnPodConditions is required",
        ]),
        (policy(action="FailIndex", onPodConditions=[{"type": "A", "status": "Maybe"}]), [
            f'{RULE}.action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set',
            f'{RULE}.onPodConditions[0].status: Unsupported value: "Maybe": supported values: "False", "True", "Unknown"',
        ]),
        (policy(action="FailJob", onExitCodes={"operator": "In", "values": [3, 0, 3], "containerName": "d"}), [
            f'{RULE}.onExitCodes.containerName: Invalid value: "d": must be one of the container or initContainer names in the '
            "pod template",
            f"{RULE}.onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator",
            f"{RULE}.onExitCodes.values[2]: Duplicate value: 3",
            f"{RULE}.onExitCodes.values: Invalid value: [3,0,3]: must be ordered",
        ]),
        (policy(action="Ignore", onExitCodes={"operator": "In", "values": [1]})
         | {"podReplacementPolicy": "TerminatingOrFailed"}, [
            'spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"'
        ]),
        (success(), [
            f"{SUCCESS}: Required value: at least one rules must be specified when the successPolicy is specified"
        ]),
        (success({}, {"succeededCount": 9}), [
            f"{SUCCESS}[0]: Required value: at least one of succeededCount or succeededIndexes must be specified",
            f"{SUCCESS}[1].succeededCount: Invalid value: 9: must be less than or equal to 5 (the number of specified "
            "completions)",
        ]),
        (success({"succeededIndexes": "0,2-4", "succeededCount": 5}), [
            f"{SUCCESS}[0].succeededCount: Invalid value: 5: must be less than or equal to 4 (the number of indexes in the "
            "specified succeededIndexes field)"
        ]),
        (success({"succeededIndexes": "3,1"}), [
            f'{SUCCESS}[0].succeededIndexes: Invalid value: "3,1": error parsing succeededIndexes: non-increasing order, '
            "previous: 3, current: 1"
        ]),
        (success({"succeededIndexes": "5"}), [
            f'{SUCCESS}[0].succeededIndexes: Invalid value: "5": error parsing succeededIndexes: too large index: "5"'
        ]),
    ],
)  # fmt: skip
def test_a_job_that_cannot_work_is_refused(spec: Obj, expected: list[str]) -> None:
    assert texts(JOBS.strategy.validate_create(job(**spec))) == expected


def test_pods_of_indexed_jobs_need_valid_host_names() -> None:
    errors = JOBS.strategy.validate_create(job("a" * 62, **INDEXED))
    host = "a" * 62 + "-4"
    assert str(errors[-1]) == (
        f'metadata.name: Invalid value: "{"a" * 62}": will not able to create pod with invalid DNS label: {host}'
    )


def pod_label(value: str) -> Change:
    return lambda new: new["spec"]["template"]["metadata"]["labels"].update(a=value)


def pod_spec(**fields: Any) -> Change:
    return lambda new: new["spec"]["template"]["spec"].update(fields)


NODE_AFFINITY: Obj = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
    "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]
}}}  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "status", "change", "refused"),
    [
        ({}, {}, lambda new: new["spec"].update(parallelism=3, suspend=True, activeDeadlineSeconds=5), []),
        ({}, {}, lambda new: new["spec"].update(completions=2), ["spec.completions: Invalid value: 2: field is immutable"]),
        (INDEXED, {}, lambda new: new["spec"].update(completions=2, parallelism=2), []),
        (INDEXED, {}, lambda new: new["spec"].update(completions=2), [
            "spec.completions: Invalid value: 2: can only be modified in tandem with spec.parallelism"
        ]),
        ({}, {}, pod_label("b"), ["spec.template"]),
        ({"suspend": True}, {}, pod_label("b"), []),
        ({"suspend": True}, {}, pod_spec(affinity=NODE_AFFINITY, nodeSelector={"a": "b"}), []),
        ({"suspend": True}, {"active": 1}, pod_label("b"), ["spec.template"]),
        ({"suspend": True}, {"startTime": "2024-01-01T00:00:00Z"}, pod_label("b"), ["spec.template"]),
        ({"suspend": True}, {"startTime": "t", "conditions": [{"type": "Suspended", "status": "True"}]}, pod_label("b"), []),
        ({"suspend": True}, {}, pod_spec(hostname="h"), ["spec.template"]),
        ({"suspend": True}, {}, pod_spec(containers=[{**TEMPLATE["spec"]["containers"][0], "image": "j"}]), ["spec.template"]),
        ({}, {}, lambda new: new["spec"].update(managedBy="a.b/c"), ["spec.managedBy"]),
    ],
)  # fmt: skip
def test_a_job_may_change_what_its_pods_do_not_show(spec: Obj, status: Obj, change: Change, refused: list[str]) -> None:
    old = {**job(**spec), "status": status}
    new = copy.deepcopy(old)
    change(new)
    JOBS.default(new)
    found = texts(JOBS.strategy.validate_update(new, old))
    assert len(found) == len(refused) and all(text.startswith(start) for text, start in zip(found, refused)), found


def conditions(*kinds: str) -> Obj:
    return {"conditions": [{"type": kind, "status": "True"} for kind in kinds]}


EARLY, LATE = "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"
COMPLETE: Obj = conditions("SuccessCriteriaMet", "Complete") | {"startTime": EARLY, "completionTime": LATE, "succeeded": 1}
IMMUTABLE_START = "status.startTime: Invalid value: null: field is immutable for unsuspended job once set"


@pytest.mark.parametrize(
    ("spec", "old", "new", "expected"),
    [
        ({}, {"startTime": EARLY}, COMPLETE, []),
        ({}, {}, {"active": -1}, [f"status.active: Invalid value: -1: {NOT_NEGATIVE}"]),
        ({}, {}, {"ready": 1}, ["status.ready: Invalid value: 1: cannot set more ready pods than active"]),
        ({}, {"failed": 2}, {"failed": 1}, ["status.failed: Invalid value: 1: cannot decrease the failed counter"]),
        ({}, {}, conditions("Failed") | {"startTime": EARLY}, [
            "status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition"
        ]),
        ({}, {}, COMPLETE | {"active": 1, "terminating": 1, "completionTime": None}, [
            "status.completionTime: Required value: completionTime is required for Complete jobs",
            "status.active: Invalid value: 1: active>0 is invalid for finished job",
            "status.terminating: Invalid value: 1: terminating>0 is invalid for finished job",
        ]),
        ({}, {}, COMPLETE | {"startTime": None, "uncountedTerminatedPods": {"failed": ["u"]}}, [
            "status.startTime: Required value: startTime is required for finished job",
            'status.uncountedTerminatedPods: Invalid value: {"failed":["u"]}: must be empty for finished job',
        ]),
        ({}, COMPLETE, COMPLETE | conditions("SuccessCriteriaMet", "Failed", "FailureTarget") | {"completionTime": None}, [
            "status.conditions: Invalid value: cannot set SuccessCriteriaMet=True and Failed=true conditions",
            "status.conditions: Invalid value: cannot set SuccessCriteriaMet=True and FailureTarget=true conditions",
            "status.conditions: Invalid value: cannot disable the terminal Complete=True condition",
            "status.completionTime: Invalid value: null: field is immutable",
        ]),
        ({}, {"startTime": EARLY}, {}, [IMMUTABLE_START]),
        ({}, conditions("Suspended") | {"startTime": EARLY}, {"startTime": LATE}, []),
        ({}, {}, {"completedIndexes": "0"}, [
            'status.completedIndexes: Invalid value: "0": cannot set non-empty completedIndexes when non-indexed completion mode'
        ]),
        (PER_INDEX, {}, {"completedIndexes": "0-2", "failedIndexes": "2,4"}, [
            'status.failedIndexes: Invalid value: "2,4": failedIndexes and completedIndexes overlap at index: 2'
        ]),
        (PER_INDEX, {}, {"completedIndexes": "0-2", "failedIndexes": "3-4"}, []),
        (INDEXED | {"parallelism": 5}, {"succeeded": 3}, {"succeeded": 2}, []),
        ({}, {}, {"uncountedTerminatedPods": {"succeeded": ["u", ""], "failed": ["u"]}}, [
            'status.uncountedTerminatedPods.succeeded[1]: Invalid value: "": must not be empty',
            'status.uncountedTerminatedPods.failed[0]: Duplicate value: "u"',
        ]),
    ],
)  # fmt: skip
def test_a_jobs_status_moves_in_one_direction(spec: Obj, old: Obj, new: Obj, expected: list[str]) -> None:
    base = job(**spec)
    found = JOBS.strategy.validate_status_update({**base, "status": new}, {**base, "status": old})
    assert texts(found) == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"timeZone": "Europe/Berlin", "schedule": "@hourly"}, []),
        ({"schedule": ""}, ["spec.schedule: Required value"]),
        ({"schedule": "* * *"}, ['spec.schedule: Invalid value: "* * *": expected exactly 5 fields, found 3: [* * *]']),
        ({"schedule": "TZ=UTC 0 * * * *"}, [
            'spec.schedule: Invalid value: "TZ=UTC 0 * * * *": cannot use TZ or CRON_TZ in schedule, use timeZone field instead'
        ]),
        ({"timeZone": ""}, ['spec.timeZone: Invalid value: "": timeZone must be nil or non-empty string']),
        ({"timeZone": "Mars/Base"}, ['spec.timeZone: Invalid value: "Mars/Base": unknown time zone Mars/Base']),
        ({"timeZone": "Local"}, [
            'spec.timeZone: Invalid value: "Local": timeZone must be an explicit time zone as defined in '
            "https://www.iana.org/time-zones"
        ]),
        ({"concurrencyPolicy": "Maybe", "startingDeadlineSeconds": -1}, [
            f"spec.startingDeadlineSeconds: Invalid value: -1: {NOT_NEGATIVE}",
            'spec.concurrencyPolicy: Unsupported value: "Maybe": supported values: "Allow", "Forbid", "Replace"',
        ]),
        ({"jobTemplate": {"spec": {"template": TEMPLATE, "selector": {}, "manualSelector": True}}}, [
            "spec.jobTemplate.spec.selector: Invalid value: {}: `selector` will be auto-generated",
            'spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: "nil", "false"',
        ]),
    ],
)  # fmt: skip
def test_a_cron_job_needs_a_schedule_and_a_template_that_work(spec: Obj, expected: list[str]) -> None:
    assert texts(CRON_JOBS.strategy.validate_create(cron_job(**spec))) == expected


def test_a_cron_jobs_name_leaves_room_for_those_of_its_jobs() -> None:
    name = "a" * 53
    errors = CRON_JOBS.strategy.validate_create(cron_job(name))
    assert texts(errors) == [f'metadata.name: Invalid value: "{name}": must be no more than 52 characters']


def test_a_stored_schedule_with_a_time_zone_stays_valid() -> None:
    old = cron_job(schedule="TZ=UTC 0 * * * *")
    assert CRON_JOBS.strategy.validate_update(copy.deepcopy(old), old) == []
    both = copy.deepcopy(old)
    both["spec"]["timeZone"] = "UTC"
    assert texts(CRON_JOBS.strategy.validate_update(both, old)) == [
        'spec.schedule: Invalid value: "TZ=UTC 0 * * * *": cannot use both timeZone field and TZ or CRON_TZ in schedule'
    ]


def test_names_that_are_no_labels_and_jobs_too_large_to_track_are_warned_of() -> None:
    assert JOBS.strategy.warnings is not None and CRON_JOBS.strategy.warnings is not None
    large = job("a.b", completionMode="Indexed", completions=100001, parallelism=10001)
    found = JOBS.strategy.warnings(large, None)
    assert found[0].startswith("metadata.name: this is used in Pod names and hostnames")
    assert found[1].startswith("spec: In Indexed Jobs with a number of completions higher than 10^5")
    assert CRON_JOBS.strategy.warnings(cron_job("a.b"), None)[0].startswith("metadata.name: this is used")
