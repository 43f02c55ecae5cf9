"""Which checks a level and version make of a pod, and what they say together. Pure."""

from __future__ import annotations

from functools import cache

from steersman.apiserver.admission.podsecurity.check import Check, CheckPod, Violation
from steersman.apiserver.admission.podsecurity.checks import CHECKS
from steersman.apiserver.admission.podsecurity.levels import BASELINE, PRIVILEGED, RESTRICTED, LevelVersion, minor_of
from steersman.machinery.meta import Obj

NEWEST_MINOR = max(since for check in CHECKS for since, _ in check.versions)
"""Newer versions, and the latest, are this one."""


def evaluate(policy: LevelVersion, metadata: Obj, spec: Obj) -> list[Violation]:
    """What the policy forbids of a pod, in the order it is told."""
    if policy.level == PRIVILEGED:
        return []
    found = (check(metadata, spec) for check in _forms(policy))
    return [violation for violation in found if violation is not None]


def reasons(violations: list[Violation]) -> str:
    """For many pods at once."""
    return ", ".join(violation.reason for violation in violations)


def details(violations: list[Violation]) -> str:
    return ", ".join(f"{violation.reason} ({violation.detail})" for violation in violations)


@cache
def _known(level: str, minor: int) -> tuple[CheckPod, ...]:
    applying = [check for check in CHECKS if check.form(minor) is not None]
    if level == BASELINE:
        applying = [check for check in applying if check.level == BASELINE]
    else:
        overridden = {id_ for check in applying if check.level == RESTRICTED for id_ in check.overrides}
        applying = [check for check in applying if check.id not in overridden]
    return tuple(_form(check, minor) for check in applying)


def _form(check: Check, minor: int) -> CheckPod:
    found = check.form(minor)
    assert found is not None
    return found


def _forms(policy: LevelVersion) -> tuple[CheckPod, ...]:
    minor = minor_of(policy.version)
    # Namespaces name any version they like: what is remembered is bounded by what there is.
    return _known(policy.level, NEWEST_MINOR if minor is None else min(minor, NEWEST_MINOR))
