"""The file cpu_manager_state: who has which CPUs, in upstream's JSON with upstream's checksum, so that either reads the other's.

Source: upstream pkg/kubelet/cm/cpumanager/state, checkpointmanager/checksum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from steersman.kubelet.cpumanager.cpusets import CPUs, parse, show

FILE = "cpu_manager_state"
Assignments = Mapping[str, Mapping[str, CPUs]]
"""pod uid -> container -> its own CPUs"""


class BadState(ValueError):
    """The file can't be used; somebody must look at it."""


@dataclass(frozen=True, slots=True)
class State:
    """`shared`: the CPUs of everybody who has none of their own; empty with the policy none."""

    shared: CPUs = frozenset()
    assignments: Assignments = field(default_factory=dict)


class _Written(msgspec.Struct):
    policyName: str = ""
    defaultCpuSet: str = ""
    entries: dict[str, dict[str, str]] = {}
    checksum: int = 0


def load(path: Path, policy: str) -> State | None:
    """None if there is no file. Raises BadState."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return _decoded(content, policy)
    except (ValueError, msgspec.DecodeError) as error:
        text = f"could not restore state from checkpoint: {error}, please drain this node and delete the CPU manager checkpoint"
        raise BadState(f'{text} file "{path}" before restarting Kubelet') from error


def _decoded(content: bytes, policy: str) -> State:
    found = msgspec.json.decode(content, type=_Written)
    if found.checksum not in (0, checksum(found.policyName, found.defaultCpuSet, found.entries)):
        raise ValueError("checkpoint is corrupted")
    if found.policyName != policy:
        raise ValueError(f'configured policy "{policy}" differs from state checkpoint policy "{found.policyName}"')
    try:
        shared = parse(found.defaultCpuSet)
    except ValueError as error:
        raise ValueError(f'could not parse default cpu set "{found.defaultCpuSet}": {error}') from error
    assignments: dict[str, dict[str, CPUs]] = {}
    for pod, containers in found.entries.items():
        for name, text in containers.items():
            try:
                assignments.setdefault(pod, {})[name] = parse(text)
            except ValueError as error:
                lead = f'could not parse cpuset "{text}" for container "{name}" in pod "{pod}"'
                raise ValueError(f"{lead}: {error}") from error
    return State(shared, assignments)


def save(path: Path, policy: str, state: State) -> None:
    """Raises OSError."""
    entries = {
        pod: {name: show(cpus) for name, cpus in containers.items()}
        for pod, containers in state.assignments.items()
        if containers
    }
    body: dict[str, object] = {"policyName": policy, "defaultCpuSet": show(state.shared)}
    if entries:
        body["entries"] = entries
    body["checksum"] = checksum(policy, show(state.shared), entries)
    unfinished = path.with_name(f".{FILE}.new")
    unfinished.write_bytes(msgspec.json.encode(body))
    unfinished.chmod(0o600)
    unfinished.replace(path)


def checksum(policy: str, shared: str, entries: Mapping[str, Mapping[str, str]]) -> int:
    """FNV-1a of how Go's spew prints the structure, keys sorted."""
    inner = " ".join(
        f"{pod}:map[{' '.join(f'{name}:{cpus}' for name, cpus in sorted(containers.items()))}]"
        for pod, containers in sorted(entries.items())
    )
    fields = f"PolicyName:(string){policy} DefaultCPUSet:(string){shared} Entries:(map[string]map[string]string)map[{inner}]"
    value = 0x811C9DC5
    for byte in f"(*state.CPUManagerCheckpoint){{{fields} Checksum:(checksum.Checksum)0}}".encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value
