"""Which pods of a node `drain` takes away, which it leaves, and which are in its way. Source: kubectl pkg/drain/filters.go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from steersman.machinery.meta import Obj, annotations_of, controller_of, dig, name_of, namespace_of, parse_time

MIRROR = "kubernetes.io/config.mirror"
_DAEMON_SETS_WARNING = "ignoring DaemonSet-managed Pods"
_DAEMON_SETS_FATAL = "DaemonSet-managed Pods (use --ignore-daemonsets to ignore)"
_STORAGE_FATAL = "Pods with local storage (use --delete-emptydir-data to override)"
_UNMANAGED_WARNING = "deleting Pods that declare no controller"
_UNMANAGED_FATAL = "cannot delete Pods that declare no controller (use --force to override)"


@dataclass(frozen=True, slots=True)
class Rules:
    """The flags that say what may be deleted. `orphan_errors`: for pods whose DaemonSet could not be read, why."""

    force: bool
    ignore_daemon_sets: bool
    delete_empty_dir: bool
    skip_deleted_after_s: int
    now: datetime
    orphan_errors: Mapping[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One pod's. `warning` or `error` is what to say of it and of others like it."""

    pod: Obj
    delete: bool
    warning: str = ""
    error: str = ""


def judge(pod: Obj, rules: Rules) -> Verdict:
    finished = dig(pod, "status", "phase") in ("Succeeded", "Failed")
    deleted = parse_time(pod["metadata"].get("deletionTimestamp"))
    limit_s = rules.skip_deleted_after_s
    if limit_s > 0 and deleted is not None and (rules.now - deleted).total_seconds() > limit_s:
        return Verdict(pod, delete=False)
    controller = controller_of(pod)
    if controller is not None and controller.get("kind") == "DaemonSet" and not finished:
        why = rules.orphan_errors.get((namespace_of(pod), str(controller.get("name"))))
        if why is not None:
            return Verdict(pod, delete=True, warning=why) if rules.force else Verdict(pod, delete=False, error=why)
        if rules.ignore_daemon_sets:
            return Verdict(pod, delete=False, warning=_DAEMON_SETS_WARNING)
        return Verdict(pod, delete=False, error=_DAEMON_SETS_FATAL)
    if MIRROR in annotations_of(pod):
        return Verdict(pod, delete=False)
    scratch = any("emptyDir" in volume for volume in dig(pod, "spec", "volumes", default=()))
    if scratch and not finished and not rules.delete_empty_dir:
        return Verdict(pod, delete=False, error=_STORAGE_FATAL)
    if controller is None and not finished:
        if rules.force:
            return Verdict(pod, delete=True, warning=_UNMANAGED_WARNING)
        return Verdict(pod, delete=False, error=_UNMANAGED_FATAL)
    return Verdict(pod, delete=True)


def warnings(verdicts: Sequence[Verdict]) -> str:
    return "; ".join(_by_message(verdicts, "warning"))


def errors(verdicts: Sequence[Verdict]) -> list[str]:
    return [f"cannot delete {text}" for text in _by_message(verdicts, "error")]


def _by_message(verdicts: Sequence[Verdict], field: str) -> list[str]:
    named: dict[str, list[str]] = {}
    for verdict in verdicts:
        if message := getattr(verdict, field):
            named.setdefault(message, []).append(f"{namespace_of(verdict.pod)}/{name_of(verdict.pod)}")
    return [f"{message}: {', '.join(named[message])}" for message in named]
