"""What the runtime remembers: one small JSON file per sandbox and container, replaced atomically at every change.

The files are the truth after a crash; in memory they are only cached. A record that cannot be read belongs to something half
made.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from steersman.cri.messages import Container, ContainerConfig, ContainerState, Sandbox, SandboxConfig, SandboxState
from steersman.cri.native.files import read_or_none, remove_tree, write_atomic
from steersman.cri.native.procs import ProcessId

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SandboxRecord:
    """A sandbox. It is READY only when whole: one that is being made, was stopped, or whose pause process died is NOT_READY."""

    id: str
    config: SandboxConfig
    created_at: datetime
    boot_id: str
    state: SandboxState = SandboxState.NOT_READY
    ips: tuple[str, ...] = ()
    pause: ProcessId | None = None
    released: bool = False
    """Its network has been given back."""

    def view(self) -> Sandbox:
        config = self.config
        return Sandbox(
            id=self.id,
            name=config.name,
            uid=config.uid,
            namespace=config.namespace,
            attempt=config.attempt,
            state=self.state,
            created_at=self.created_at,
            network=config.network,
            ips=self.ips,
            labels=config.labels,
            annotations=config.annotations,
            pid=self.pause.pid if self.pause and self.state is SandboxState.READY else 0,
        )


@dataclass(frozen=True, slots=True)
class ContainerRecord:
    """A container. `process`: its first process, `conmon`: what watches it; both None before the start."""

    id: str
    sandbox_id: str
    pod_uid: str
    config: ContainerConfig
    image_id: str
    image_name: str
    """As status shows it: the full reference with a tag, or the id."""
    image_ref: str
    log_path: str
    cgroup: str
    stop_signal: str
    created_at: datetime
    boot_id: str
    state: ContainerState = ContainerState.CREATED
    starting: bool = False
    """conmon may have been started; found after a crash, the container is half made."""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    process: ProcessId | None = None
    conmon: ProcessId | None = None
    user: tuple[int, int, tuple[int, ...]] | None = None
    released: bool = False
    """Its mounts, cgroup and runtime state are gone (after the exit)."""

    def view(self) -> Container:
        config = self.config
        return Container(
            id=self.id,
            sandbox_id=self.sandbox_id,
            name=config.name,
            attempt=config.attempt,
            state=self.state,
            image=self.image_name,
            image_ref=self.image_ref,
            created_at=self.created_at,
            started_at=self.started_at,
            finished_at=self.finished_at,
            exit_code=self.exit_code,
            reason=self.reason,
            message=self.message,
            labels=config.labels,
            annotations=config.annotations,
            log_path=self.log_path,
            pid=self.process.pid if self.process and self.state is ContainerState.RUNNING else 0,
            user=self.user,
        )


RecordT = TypeVar("RecordT", SandboxRecord, ContainerRecord)


@dataclass(slots=True)
class Records(Generic[RecordT]):
    """The records of one type, in `directory/<id>/record.json`."""

    directory: str
    type: type[RecordT]
    known: dict[str, RecordT] = field(default_factory=dict)

    def load(self) -> list[str]:
        """Read all records; returns the ids of directories without a readable one."""
        broken: list[str] = []
        for identity in os.listdir(self.directory):
            data = read_or_none(f"{self.directory}/{identity}/record.json")
            try:
                self.known[identity] = msgspec.json.decode(data or b"", type=self.type)
            except msgspec.DecodeError as error:
                log.warning("record unreadable id=%s error=%s", identity, error)
                broken.append(identity)
        return broken

    def save(self, record: RecordT) -> RecordT:
        """Write it down, then remember it."""
        path = f"{self.directory}/{record.id}"
        if record.id not in self.known:
            os.makedirs(path, mode=0o711, exist_ok=True)
        write_atomic(f"{path}/record.json", msgspec.json.encode(record))
        self.known[record.id] = record
        return record

    def get(self, identity: str) -> RecordT | None:
        return self.known.get(identity)

    def drop(self, identity: str) -> None:
        """Forget it and remove its directory with everything in it."""
        remove_tree(f"{self.directory}/{identity}")
        self.known.pop(identity, None)


def boot_id() -> str:
    """Names this boot of the machine: records of an earlier one describe processes that cannot exist any more."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()
