"""Seccomp profiles: Unconfined, RuntimeDefault (seccomp.json beside this file), Localhost:<path>.

Profiles are in Docker's form (`includes`, `excludes`, `archMap`), of which OCI's is a part, and are resolved here for this
machine and the
container's capabilities. RuntimeDefault answers ENOSYS to what it does not know, so that programs fall back to older calls, and
EPERM to what
it refuses. Source: OCI runtime-spec config-linux.md; Docker's seccomp documentation for what a container is to be refused.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import Collection
from importlib import resources
from typing import Any

import orjson

from steersman.cri.interface import RuntimeFault
from steersman.machinery.meta import Obj

_LOCALHOST = "Localhost:"
_ARCHITECTURES = {"x86_64": ("SCMP_ARCH_X86_64", "amd64"), "aarch64": ("SCMP_ARCH_AARCH64", "arm64")}
_OWN_KEYS = ("archMap", "syscalls", "defaultErrno")


def profile(wanted: str, capabilities: Collection[str]) -> Obj | None:
    """The OCI `linux.seccomp` for what CRI asks; None = unconfined. `capabilities`: the container's, with CAP_. Raises
    RuntimeFault."""
    if wanted in ("", "Unconfined", "unconfined"):
        return None
    if wanted in ("RuntimeDefault", "runtime/default"):
        return resolve(_default(), capabilities)
    if wanted.startswith(_LOCALHOST):
        path = wanted.removeprefix(_LOCALHOST)
        try:
            with open(path, "rb") as file:
                return resolve(orjson.loads(file.read()), capabilities)
        except OSError as error:
            raise RuntimeFault(f"cannot load seccomp profile {path!r}: {error.strerror}") from error
        except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
            # Read from the node's disk, so of any shape.
            raise RuntimeFault(f"cannot load seccomp profile {path!r}: {error}") from error
    raise RuntimeFault(f"seccomp profile {wanted!r} is not known")


@functools.cache
def _default() -> Obj:
    found: Obj = orjson.loads(resources.files(__package__).joinpath("seccomp.json").read_bytes())
    return found


def resolve(document: Obj, capabilities: Collection[str], machine: str = "") -> Obj:
    """A profile in Docker's form as OCI's, for one set of capabilities and one machine (platform.machine())."""
    native, name = _ARCHITECTURES.get(machine or platform.machine(), ("", ""))
    out: Obj = {key: value for key, value in document.items() if key not in _OWN_KEYS}
    if not out.get("architectures"):
        entries = [entry for entry in document.get("archMap") or () if entry["architecture"] == native]
        out["architectures"] = [part for entry in entries for part in (native, *(entry.get("subArchitectures") or ()))]
    out["syscalls"] = []
    for rule in document.get("syscalls") or ():
        if _applies(rule.get("includes") or {}, capabilities, name, every=True) and not _applies(
            rule.get("excludes") or {}, capabilities, name, every=False
        ):
            out["syscalls"].append(
                {key: rule[key] for key in ("names", "action", "errnoRet", "args") if rule.get(key) is not None}
            )
    return out


def _applies(condition: dict[str, Any], capabilities: Collection[str], architecture: str, *, every: bool) -> bool:
    """Includes: every condition holds (none: yes). Excludes: any of them holds (none: no)."""
    answers = []
    if condition.get("caps"):
        held = [capability in capabilities for capability in condition["caps"]]
        answers.append(all(held) if every else any(held))
    if condition.get("arches"):
        answers.append(architecture in condition["arches"])
    return all(answers) if every else any(answers)
