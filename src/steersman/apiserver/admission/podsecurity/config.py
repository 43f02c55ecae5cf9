"""PodSecurityConfiguration: the policy of namespaces without labels, and who is exempt. Pure.

Source: upstream pod-security-admission/admission/api. It comes in an AdmissionConfiguration (admission/config.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from steersman.apiserver.admission.podsecurity.levels import (
    LATEST,
    LEVELS,
    MODES,
    PRIVILEGED,
    WRONG_LEVEL,
    WRONG_VERSION,
    LevelVersion,
    Policy,
    is_version,
)
from steersman.apiserver.config import ConfigError
from steersman.machinery import fielderrors, names
from steersman.machinery.fielderrors import FieldError
from steersman.machinery.meta import Obj

GROUP = "pod-security.admission.config.k8s.io"
VERSIONS = tuple(f"{GROUP}/{version}" for version in ("v1", "v1beta1", "v1alpha1"))
_FIELDS = {
    "": ("apiVersion", "kind", "defaults", "exemptions"),
    "defaults": tuple(f"{mode}{suffix}" for mode in MODES for suffix in ("", "-version")),
    "exemptions": ("usernames", "namespaces", "runtimeClasses"),
}


@dataclass(frozen=True, slots=True)
class PodSecurityConfiguration:
    defaults: Policy = Policy()
    usernames: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    runtime_classes: frozenset[str] = frozenset()


def parse(given: Obj | None) -> PodSecurityConfiguration:
    """None: upstream's defaults. Raises ConfigError."""
    if given is None:
        return PodSecurityConfiguration()
    if given.get("apiVersion") not in VERSIONS or given.get("kind") != "PodSecurityConfiguration":
        raise ConfigError(f"PodSecurity: {given.get('apiVersion')}, Kind={given.get('kind')} is no configuration of it")
    defaults, exemptions = given.get("defaults") or {}, given.get("exemptions") or {}
    for where, part in (("", given), ("defaults", defaults), ("exemptions", exemptions)):
        unknown = sorted(set(part) - set(_FIELDS[where]))
        if unknown:
            raise ConfigError(f'PodSecurity: strict decoding error: unknown field "{where and where + "."}{unknown[0]}"')
    errors: list[FieldError] = []
    modes = [_mode(defaults, mode, errors) for mode in ("enforce", "warn", "audit")]
    namespaces = _exempt(exemptions, "namespaces", names.dns1123_label, errors)
    classes = _exempt(exemptions, "runtimeClasses", names.dns1123_subdomain, errors)
    usernames = _exempt(exemptions, "usernames", lambda name: [] if name else ["username must not be empty"], errors)
    if errors:
        raise ConfigError(f"PodSecurity: {'; '.join(map(str, errors))}")
    enforce, warn, audit = modes
    return PodSecurityConfiguration(Policy(enforce, audit, warn), usernames, namespaces, classes)


def _mode(defaults: Obj, mode: str, errors: list[FieldError]) -> LevelVersion:
    level, version = defaults.get(mode) or PRIVILEGED, defaults.get(f"{mode}-version") or LATEST
    if level not in LEVELS:
        errors.append(fielderrors.invalid(f"defaults.{mode}", level, WRONG_LEVEL))
    if not is_version(version):
        errors.append(fielderrors.invalid(f"defaults.{mode}-version", version, WRONG_VERSION))
    return LevelVersion(level, version)


def _exempt(exemptions: Obj, field: str, check: Callable[[str], list[str]], errors: list[FieldError]) -> frozenset[str]:
    seen: set[str] = set()
    for index, name in enumerate(exemptions.get(field) or ()):
        path = f"exemptions.{field}[{index}]"
        wrong = check(name)
        if wrong:
            errors.append(fielderrors.invalid(path, name, ", ".join(wrong)))
        elif name in seen:
            errors.append(fielderrors.duplicate(path, name))
        seen.add(name)
    return frozenset(seen)
