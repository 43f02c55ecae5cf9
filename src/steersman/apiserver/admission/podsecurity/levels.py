"""Levels, versions and the policy that a namespace's labels choose (pod-security.kubernetes.io/…). Pure.

Source: upstream pod-security-admission/api; KEP-2579. What a level forbids: evaluator.py and checks/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from steersman.machinery import fielderrors
from steersman.machinery.fielderrors import FieldError

PREFIX = "pod-security.kubernetes.io/"
PRIVILEGED, BASELINE, RESTRICTED = "privileged", "baseline", "restricted"
LEVELS = (PRIVILEGED, BASELINE, RESTRICTED)
"""From the one that forbids nothing to the strictest."""
LATEST = "latest"
MODES = ("enforce", "audit", "warn")
_VERSION = re.compile(r"v1\.([0-9]|[1-9][0-9]*)", re.ASCII)
WRONG_LEVEL = f"must be one of {', '.join(LEVELS)}"
WRONG_VERSION = f'must be "{LATEST}" or "v1.x"'


@dataclass(frozen=True, slots=True)
class LevelVersion:
    """`version` is `latest` or `v1.N`."""

    level: str = PRIVILEGED
    version: str = LATEST

    def __str__(self) -> str:
        return f"{self.level}:{self.version}"


@dataclass(frozen=True, slots=True)
class Policy:
    enforce: LevelVersion = LevelVersion()
    audit: LevelVersion = LevelVersion()
    warn: LevelVersion = LevelVersion()

    @property
    def privileged(self) -> bool:
        return self.enforce.level == self.audit.level == self.warn.level == PRIVILEGED

    def equivalent(self, other: Policy) -> bool:
        """Whether both forbid the same: the version of a level that forbids nothing says nothing."""
        return all(
            mine == its or mine.level == its.level == PRIVILEGED
            for mine, its in ((self.enforce, other.enforce), (self.audit, other.audit), (self.warn, other.warn))
        )


def is_version(text: str) -> bool:
    return text == LATEST or _VERSION.fullmatch(text) is not None


def minor_of(version: str) -> int | None:
    """None: the latest."""
    return None if version == LATEST else int(version[3:])


def stricter(one: str, other: str) -> bool:
    return LEVELS.index(one) > LEVELS.index(other)


def policy_of(labels: Mapping[str, str], defaults: Policy) -> tuple[Policy, list[FieldError]]:
    """The policy, always usable: what cannot be understood is enforced as restricted and latest, and neither audited nor
    warned of. The errors are those of the labels.
    """
    if not any(label.startswith(PREFIX) for label in labels):
        return defaults, []
    errors: list[FieldError] = []
    enforce = _mode(labels, "enforce", defaults.enforce, RESTRICTED, errors)
    audit = _mode(labels, "audit", defaults.audit, PRIVILEGED, errors)
    warn = _mode(labels, "warn", defaults.warn, PRIVILEGED, errors)
    # Who enforces more than is warned of is warned of what the workloads' pods will meet.
    asked = labels.get(f"{PREFIX}enforce") in LEVELS
    if asked and f"{PREFIX}warn" not in labels and stricter(enforce.level, warn.level):
        version = warn.version if f"{PREFIX}warn-version" in labels else enforce.version
        warn = LevelVersion(enforce.level, version)
    return Policy(enforce, audit, warn), errors


def _mode(labels: Mapping[str, str], mode: str, found: LevelVersion, fallback: str, errors: list[FieldError]) -> LevelVersion:
    label = PREFIX + mode
    level, version = labels.get(label), labels.get(f"{label}-version")
    if level is not None:
        if level not in LEVELS:
            errors.append(fielderrors.invalid(f"metadata.labels[{label}]", level, WRONG_LEVEL))
            level = fallback
        found = replace(found, level=level)
    if version is not None:
        if not is_version(version):
            errors.append(fielderrors.invalid(f"metadata.labels[{label}-version]", version, WRONG_VERSION))
            version = LATEST
        found = replace(found, version=version)
    return found
