"""Defaults of batch/v1."""

from __future__ import annotations

from steersman.api.defaults.podspec import pod_spec
from steersman.machinery.meta import Obj, labels_of, metadata

_BACKOFF_LIMIT, _NO_BACKOFF_LIMIT = 6, 2**31 - 1


def job(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    if spec.get("parallelism") is None:
        if spec.get("completions") is None:
            spec["completions"] = 1
        spec["parallelism"] = 1
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("backoffLimit", _BACKOFF_LIMIT if spec.get("backoffLimitPerIndex") is None else _NO_BACKOFF_LIMIT)
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    spec.setdefault("podReplacementPolicy", "TerminatingOrFailed" if spec.get("podFailurePolicy") is None else "Failed")
    _template(spec)
    found = labels_of(spec["template"])
    if found and not labels_of(obj):
        # The same dict on purpose: labels that the strategy generates for the template become the job's as well, as upstream.
        metadata(obj)["labels"] = found


def cron_job(obj: Obj) -> None:
    """Only what concerns pods has a default in the template: jobs made from it get the rest when they are created."""
    spec = obj.setdefault("spec", {})
    if not spec.get("concurrencyPolicy"):
        spec["concurrencyPolicy"] = "Allow"
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    _template(spec.setdefault("jobTemplate", {}).setdefault("spec", {}))


def _template(spec: Obj) -> None:
    """The pod template of a job's spec, and the pod conditions that its failure policy asks for."""
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            if not pattern.get("status"):
                pattern["status"] = "True"
    pod_spec(spec.setdefault("template", {}).setdefault("spec", {}))
