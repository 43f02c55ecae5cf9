"""What a check is, and the few words and walks over a pod that the checks share. Pure.

A check looks at a pod's metadata and spec and says what is wrong, in upstream's words: users and their tools read them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from steersman.machinery.meta import Obj


class Violation(NamedTuple):
    """`reason` is short and sums up several pods; `detail` names containers and values of one."""

    reason: str
    detail: str


CheckPod = Callable[[Obj, Obj], Violation | None]
"""check(metadata, spec)."""


@dataclass(frozen=True, slots=True)
class Check:
    """`versions`: from which minor version of the policy which form of it applies, rising.

    overrides: ids of baseline checks that need not be made where this one, a restricted one, is.
    """

    id: str
    level: str
    versions: tuple[tuple[int, CheckPod], ...]
    overrides: tuple[str, ...] = ()

    def form(self, minor: int) -> CheckPod | None:
        """None: the check is younger than this version of the policy."""
        found = None
        for since, check in self.versions:
            if since <= minor:
                found = check
        return found


def containers(spec: Obj) -> Iterator[Obj]:
    """In upstream's order: init, ordinary, ephemeral."""
    for part in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(part) or ()


def security(holder: Obj) -> Obj:
    """The security context of a pod's spec or of a container; empty if there is none."""
    found: Obj = holder.get("securityContext") or {}
    return found


def name_of(container: Obj) -> str:
    return str(container.get("name") or "")


def quoted(texts: Iterable[str]) -> str:
    """`"a", "b"`: nothing inside is escaped."""
    return ", ".join(f'"{text}"' for text in texts)


def plural(one: str, many: str, count: int) -> str:
    return one if count == 1 else many


def named(names: Sequence[str]) -> str:
    """`container "a"`, `containers "a", "b"`."""
    return f"{plural('container', 'containers', len(names))} {quoted(names)}"


def setters(pod: bool, names: Sequence[str]) -> str:
    """Who sets something: the pod, containers, or both."""
    return " and ".join([*(("pod",) if pod else ()), *((named(names),) if names else ())])


def where(spec: Obj, wrong: Callable[[Obj], Any]) -> list[str]:
    """Names of the containers of which it holds."""
    return [name_of(container) for container in containers(spec) if wrong(container)]


def is_windows(spec: Obj) -> bool:
    return bool((spec.get("os") or {}).get("name") == "windows")


def has_own_users(spec: Obj) -> bool:
    """Whether root in the pod is nobody on the node (KEP-127)."""
    return spec.get("hostUsers") is False
