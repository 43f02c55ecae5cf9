"""podFailurePolicy and successPolicy: what a pod's failure means, and when enough indexes have succeeded (KEP-3329, 3998)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from steersman.controllers.job import indexes
from steersman.loop.pods import phase_of
from steersman.machinery.meta import Obj, condition, dig, name_of, namespace_of


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to do about a failed pod: Count, Ignore, FailIndex, FailJob."""

    action: str = "Count"
    message: str = ""

    @property
    def counts(self) -> bool:
        return self.action != "Ignore"


def outcome(job: Obj, pod: Obj) -> Outcome:
    """By the first rule that fits; a pod that has not ended yet has nothing that rules could ask about."""
    if phase_of(pod) != "Failed":
        return Outcome()
    for place, rule in enumerate(dig(job, "spec", "podFailurePolicy", "rules", default=())):
        why = (
            _exit_code(rule["onExitCodes"], pod)
            if rule.get("onExitCodes")
            else _condition(rule.get("onPodConditions") or (), pod)
        )
        if why:
            return Outcome(rule["action"], f"{why} matching {rule['action']} rule at index {place}")
    return Outcome()


def _exit_code(rule: Obj, pod: Obj) -> str:
    status = pod.get("status") or {}
    for item in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())):
        code = dig(item, "state", "terminated", "exitCode")
        if not code or rule.get("containerName") not in (None, item["name"]):
            continue
        if (code in rule.get("values", ())) == (rule["operator"] == "In"):
            return f"Container {item['name']} for pod {namespace_of(pod)}/{name_of(pod)} failed with exit code {code}"
    return ""


def _condition(patterns: Iterable[Obj], pod: Obj) -> str:
    for pattern in patterns:
        found = condition(pod, pattern["type"])
        if found is not None and found.get("status") == pattern.get("status", "True"):
            return f"Pod {namespace_of(pod)}/{name_of(pod)} has condition {pattern['type']}"
    return ""


def succeeded_by_policy(job: Obj, succeeded: Collection[int], completions: int) -> str:
    """The message of the first rule that is met; empty if none is."""
    for place, rule in enumerate(dig(job, "spec", "successPolicy", "rules", default=())):
        listed, count = rule.get("succeededIndexes"), rule.get("succeededCount")
        wanted = indexes.parse(listed, completions) if listed is not None else None
        got = len(succeeded) if wanted is None else len(wanted.intersection(succeeded))
        needed = count if count is not None else len(wanted or ())
        if got >= needed:
            return f"Matched rules at index {place}"
    return ""
