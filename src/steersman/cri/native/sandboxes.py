"""Pod sandboxes: namespaces, pause process, /dev/shm, hostname and resolv.conf, network.

A sandbox is written down as NOT_READY before anything is made and READY after everything is, so that a crash leaves what the
kubelet removes like any
other dead sandbox. Its containers are not known here: the runtime stops them first.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from steersman.cri.interface import NotThere, RuntimeFault, SandboxNetwork
from steersman.cri.messages import EventKind, NamespaceMode, RuntimeEvent, SandboxConfig, SandboxState
from steersman.cri.native import linux, procs, usernamespaces
from steersman.cri.native.cgroups import Cgroups
from steersman.cri.native.creation import cgroup_path
from steersman.cri.native.layout import Layout
from steersman.cri.native.namespaces import Wanted, release_netns, start_pause
from steersman.cri.native.records import Records, SandboxRecord
from steersman.cri.native.threads import off_loop
from steersman.machinery.clock import Clock
from steersman.machinery.waiting import Locks

log = logging.getLogger(__name__)

_SHM_BYTES = 64 << 20


@dataclass(slots=True)
class Sandboxes:
    """All sandboxes of one runtime. `watch_end(process, callback)` calls back when a process has ended."""

    layout: Layout
    records: Records[SandboxRecord]
    network: SandboxNetwork
    cgroups: Cgroups
    clock: Clock
    boot_id: str
    emit: Callable[[RuntimeEvent], None]
    watch_end: Callable[[procs.ProcessId, Callable[[], None]], None]
    _locks: Locks[str] = field(default_factory=Locks)

    def get(self, sandbox_id: str) -> SandboxRecord:
        record = self.records.get(sandbox_id)
        if record is None:
            raise NotThere(f"sandbox {sandbox_id!r} not found")
        return record

    async def run(self, config: SandboxConfig) -> str:
        """A new, READY sandbox; the same (uid, attempt) again gives the same one while it is READY."""
        for known in self.records.known.values():
            if (known.config.uid, known.config.attempt) == (config.uid, config.attempt) and known.state is SandboxState.READY:
                return known.id
        identity = secrets.token_hex(32)
        record = SandboxRecord(id=identity, config=config, created_at=self.clock.now(), boot_id=self.boot_id)
        async with self._locks[identity]:
            try:
                await off_loop(self._prepare, self.records.save(record))
                record = self.records.save(replace(record, pause=await self._pause(record)))
                ips: tuple[str, ...] = ()
                if config.network is not NamespaceMode.NODE:
                    ips = await self._attach(identity, config)
                record = self.records.save(replace(record, state=SandboxState.READY, ips=ips))
            except (OSError, RuntimeFault) as error:
                await self._give_up(self.get(identity))
                raise RuntimeFault(str(error), reason="CreatePodSandboxError") from error
        self._event(EventKind.STARTED, record)
        self.watch(record)
        return identity

    async def _attach(self, identity: str, config: SandboxConfig) -> tuple[str, ...]:
        try:
            return await self.network.attach(identity, self.layout.netns(identity), config)
        except OSError as error:
            raise RuntimeFault(f'failed to setup network for sandbox "{identity}": {error}') from error

    async def _give_up(self, record: SandboxRecord) -> None:
        """Half made, it goes; if it will not, it stays NOT_READY, to be removed later."""
        try:
            await self._release(record)
        except (OSError, RuntimeFault) as error:
            log.warning("half-made sandbox not released sandbox=%s error=%s", record.id, error)
            return
        await off_loop(self.records.drop, record.id)

    def _prepare(self, record: SandboxRecord) -> None:
        directory = self.layout.sandbox(record.id)
        config = record.config
        if config.log_directory:
            os.makedirs(config.log_directory, mode=0o755, exist_ok=True)
        owner = usernamespaces.host_root(config.id_mappings) if config.id_mappings else 0
        files = {"hostname": (config.hostname or os.uname().nodename) + "\n", "resolv.conf": resolv_conf(config)}
        for name, text in files.items():
            with open(f"{directory}/{name}", "w") as file:
                os.fchmod(file.fileno(), 0o644)
                os.fchown(file.fileno(), owner, owner)
                file.write(text)
        if config.ipc is not NamespaceMode.NODE:
            shm = self.layout.shm(record.id)
            os.makedirs(shm, exist_ok=True)
            flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
            linux.mount("shm", shm, "tmpfs", flags, f"mode=1777,size={_SHM_BYTES},uid={owner},gid={owner}")

    async def _pause(self, record: SandboxRecord) -> procs.ProcessId:
        config = record.config
        own_network = config.network is not NamespaceMode.NODE
        wanted = Wanted(
            netns=self.layout.netns(record.id) if own_network else "",
            own_ipc=config.ipc is not NamespaceMode.NODE,
            shared_pid=config.pid is NamespaceMode.POD,
            hostname=config.hostname or os.uname().nodename,
            sysctls=config.sysctls,
            cgroup=cgroup_path(config, record.id),
            uid=config.run_as_user,
            gid=config.run_as_group,
            id_mappings=config.id_mappings,
        )
        return await start_pause(wanted, self.layout.pause_root, self.cgroups, usernamespaces.make)

    def watch(self, record: SandboxRecord) -> None:
        """Notice the end of the pause process."""
        if record.pause is not None:
            self.watch_end(record.pause, lambda: self._lost(record.id))

    def _lost(self, sandbox_id: str) -> None:
        record = self.records.get(sandbox_id)
        if record is not None and record.state is SandboxState.READY:
            log.warning("pause process ended sandbox=%s pod=%s/%s", sandbox_id, record.config.namespace, record.config.name)
            self._event(EventKind.STOPPED, self.records.save(replace(record, state=SandboxState.NOT_READY)))

    async def stop(self, sandbox_id: str) -> None:
        """Release its network and end its pause process; its containers must have ended. Idempotent."""
        async with self._locks[sandbox_id]:
            record = self.records.get(sandbox_id)
            if record is None or record.released:
                return
            was_ready = record.state is SandboxState.READY
            record = self.records.save(replace(record, state=SandboxState.NOT_READY))
            await self._release(record)
            self.records.save(replace(record, released=True))
            if was_ready:
                self._event(EventKind.STOPPED, record)

    async def _release(self, record: SandboxRecord) -> None:
        if record.config.network is not NamespaceMode.NODE:
            try:
                await self.network.detach(record.id, self.layout.netns(record.id), record.config)
            except OSError as error:
                raise RuntimeFault(f'failed to destroy network for sandbox "{record.id}": {error}') from error
        procs.send(record.pause, signal.SIGKILL)
        await procs.gone(record.pause)
        await off_loop(self._release_rest, record)

    def _release_rest(self, record: SandboxRecord) -> None:
        release_netns(self.layout.netns(record.id))
        while linux.umount(self.layout.shm(record.id)):
            pass
        path = cgroup_path(record.config, record.id)
        self.cgroups.kill(path)  # a pause process that a crash kept out of the record
        self.cgroups.remove(path)

    async def remove(self, sandbox_id: str) -> None:
        """Stop and forget it; its containers must have been removed. Idempotent."""
        await self.stop(sandbox_id)
        async with self._locks[sandbox_id]:
            record = self.records.get(sandbox_id)
            if record is not None:
                await off_loop(self.records.drop, sandbox_id)
                self._event(EventKind.DELETED, record)

    def _event(self, kind: EventKind, record: SandboxRecord) -> None:
        self.emit(RuntimeEvent(kind, record.id, record.config.uid))


def resolv_conf(config: SandboxConfig) -> str:
    """The text of /etc/resolv.conf: what the pod asks for, or the machine's own."""
    dns = config.dns
    if dns is None:
        try:
            with open("/etc/resolv.conf") as file:
                return file.read()
        except FileNotFoundError:
            return ""
    lines = [f"search {' '.join(dns.searches)}"] if dns.searches else []
    lines += [f"nameserver {server}" for server in dns.servers]
    lines += [f"options {' '.join(dns.options)}"] if dns.options else []
    return "".join(f"{line}\n" for line in lines)
