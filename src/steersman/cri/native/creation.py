"""Making a container without starting it: snapshot, mounted root file system, user, config.json, record.

Everything but the record is found by the container's id, so a crash in between leaves only what recovery.py sweeps away.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import orjson

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import ContainerConfig, Mount, NamespaceMode, SandboxConfig
from steersman.cri.native import idmapped, linux, machine, seccomp
from steersman.cri.native.cgroups import Cgroups
from steersman.cri.native.imageindex import ImageRecord
from steersman.cri.native.layout import MAPPED, ROOTFS, VOLUME_MOUNT, Layout
from steersman.cri.native.oci import signal_number
from steersman.cri.native.records import ContainerRecord, SandboxRecord
from steersman.cri.native.snapshots import Mapped, Snapshots
from steersman.cri.native.spec import Surroundings, capabilities, container_spec
from steersman.cri.native.threads import in_own_thread, off_loop
from steersman.cri.native.usernamespaces import host_root
from steersman.cri.native.users import Identity, read_inside, resolve_user
from steersman.machinery.clock import Clock

IMAGE_VOLUME_FAILED = "ImageVolumeMountFailed"
"""With what CRI has a runtime begin its message."""


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes containers in one runtime's directories."""

    layout: Layout
    snapshots: Snapshots
    cgroups: Cgroups
    clock: Clock
    boot_id: str
    capabilities: frozenset[str]

    async def make(
        self,
        sandbox: SandboxRecord,
        config: ContainerConfig,
        image: ImageRecord,
        target_pid: int,
        volumes: Mapping[str, ImageRecord],
    ) -> ContainerRecord:
        """The record (not saved) of a container whose bundle is ready to start. Raises RuntimeFault; then nothing is left
        behind. `volumes`: the images of its mounts, by what these call them."""
        identity = secrets.token_hex(32)
        try:
            await in_own_thread(lambda: self._mount(identity, sandbox, config, image, volumes))
            user, spec = await off_loop(self._bundle, identity, sandbox, config, image, target_pid)
        except OSError as error:
            await off_loop(self.discard, identity)
            raise RuntimeFault(f"cannot prepare container {config.name}: {_words(error)}") from error
        except BaseException:
            await off_loop(self.discard, identity)
            raise
        log_path = os.path.join(sandbox.config.log_directory, config.log_path) if config.log_path else ""
        return ContainerRecord(
            id=identity,
            sandbox_id=sandbox.id,
            pod_uid=sandbox.config.uid,
            config=config,
            image_id=image.id,
            image_name=image.name_for(config.image_user_spec or config.image),
            image_ref=image.ref,
            log_path=log_path,
            cgroup=spec,
            stop_signal=config.stop_signal or image.defaults.stop_signal or "SIGTERM",
            created_at=self.clock.now(),
            boot_id=self.boot_id,
            user=(user.uid, user.gid, user.groups),
        )

    def _mount(
        self,
        identity: str,
        sandbox: SandboxRecord,
        config: ContainerConfig,
        image: ImageRecord,
        volumes: Mapping[str, ImageRecord],
    ) -> None:
        self.snapshots.prepare(identity, image.layer_dirs)
        if volumes:
            self.snapshots.borrow(identity, [layer for volume in volumes.values() for layer in volume.layer_dirs])
        os.makedirs(self.layout.bundle(identity), exist_ok=True)
        with _mapped_for(sandbox) as mapped:
            place = self.layout.mounts(identity, mapped=mapped is not None)
            if mapped is not None:
                os.makedirs(MAPPED, mode=0o711, exist_ok=True)
                os.makedirs(place, mode=0o711, exist_ok=True)
                for name, source in self._own_files(sandbox).items():
                    idmapped.bind(source, f"{place}/{VOLUME_MOUNT}{name}")
            self.snapshots.mount(identity, f"{place}/{ROOTFS}", mapped)
            for index, mount in enumerate(config.mounts):
                target = f"{place}/{VOLUME_MOUNT}{index}"
                if mount.image:
                    self.snapshots.mount_image(identity, volumes[mount.image].layer_dirs, target, mapped)
                    continue
                if not os.path.exists(mount.host_path):
                    os.makedirs(mount.host_path, exist_ok=True)
                if mapped is not None:
                    idmapped.bind(mount.host_path, target, mapped.namespace)

    def _bundle(
        self, identity: str, sandbox: SandboxRecord, config: ContainerConfig, image: ImageRecord, target_pid: int
    ) -> tuple[Identity, str]:
        mappings = sandbox.config.id_mappings
        place = self.layout.mounts(identity, mapped=bool(mappings))
        rootfs = f"{place}/{ROOTFS}"
        signal_number(config.stop_signal or image.defaults.stop_signal or "SIGTERM")
        user = resolve_user(config.security, image.defaults.user, lambda path: read_inside(rootfs, path))
        around = self._surroundings(identity, sandbox, config, target_pid)
        mounts = tuple(
            _on_host(f"{place}/{VOLUME_MOUNT}{index}", mount, bool(mappings)) for index, mount in enumerate(config.mounts)
        )
        resources = config.resources
        if resources.huge_pages and not self.cgroups.limits_huge_pages:
            resources = replace(resources, huge_pages=())
        made = replace(config, mounts=mounts, resources=resources)
        spec = container_spec(made, image.defaults, user, around, rootfs=rootfs)
        make_directory_inside(rootfs, spec["process"]["cwd"], host_root(mappings) if mappings else 0)
        with open(f"{self.layout.bundle(identity)}/config.json", "wb") as file:
            file.write(orjson.dumps(spec))
        return user, around.cgroup

    def _own_files(self, sandbox: SandboxRecord) -> dict[str, str]:
        """What the sandbox gives its containers."""
        directory = self.layout.sandbox(sandbox.id)
        files = {name: f"{directory}/{name}" for name in ("hostname", "resolv.conf")}
        return {**files, "shm": self.layout.shm(sandbox.id) if sandbox.config.ipc is not NamespaceMode.NODE else "/dev/shm"}

    def _surroundings(self, identity: str, sandbox: SandboxRecord, config: ContainerConfig, target_pid: int) -> Surroundings:
        pod, security = sandbox.config, config.security
        pause = sandbox.pause.pid if sandbox.pause else 0
        own_network = pod.network is not NamespaceMode.NODE
        pid_ns = {
            NamespaceMode.NODE: "host",
            NamespaceMode.POD: f"/proc/{pause}/ns/pid",
            NamespaceMode.TARGET: f"/proc/{target_pid}/ns/pid",
        }
        devices = machine.all_devices() if security.privileged else []
        for device in config.devices:
            devices += machine.device_node(device)
        files = self._own_files(sandbox)
        if pod.id_mappings:
            place = self.layout.mounts(identity, mapped=True)
            files = {name: f"{place}/{VOLUME_MOUNT}{name}" for name in files}
        return Surroundings(
            network_ns=self.layout.netns(sandbox.id) if own_network else "",
            ipc_ns=f"/proc/{pause}/ns/ipc" if pod.ipc is not NamespaceMode.NODE else "",
            uts_ns=f"/proc/{pause}/ns/uts" if own_network else "",
            pid_ns=pid_ns.get(security.pid, "new"),
            user_ns=f"/proc/{pause}/ns/user" if pod.id_mappings else "",
            id_mappings=pod.id_mappings,
            hostname=pod.hostname or os.uname().nodename,
            resolv_conf=files["resolv.conf"],
            hostname_file=files["hostname"],
            shm=files["shm"],
            cgroup=cgroup_path(pod, identity),
            cgroup_v2=self.cgroups.v2,
            capabilities=self.capabilities,
            lowest_oom_score_adj=machine.lowest_oom_score_adj(self.capabilities),
            host_devices=devices,
            seccomp=None if security.privileged else seccomp.profile(security.seccomp, capabilities(security, self.capabilities)),
        )

    def discard(self, identity: str) -> None:
        """Remove everything of a container that has no process (any more), except its record. Idempotent."""
        self.release(identity)
        self.snapshots.remove(identity)

    def release(self, identity: str) -> None:
        """Unmount its root file system and the volumes mounted for it, and remove its bundle. Idempotent."""
        for mapped in (False, True):
            _clear(self.layout.mounts(identity, mapped=mapped))
        try:
            os.unlink(self.layout.exit_file(identity))
        except FileNotFoundError:
            pass


def _on_host(root: str, mount: Mount, mapped: bool) -> Mount:
    """An image's mount by where it is on the host, `root`, likewise one whose ids are mapped; others as they are. Raises
    RuntimeFault."""
    if not mount.image:
        return replace(mount, host_path=root) if mapped else mount
    try:
        path = path_inside(root, mount.image_sub_path) if mount.image_sub_path else root
    except OSError as error:
        text = f"{IMAGE_VOLUME_FAILED}: subpath {mount.image_sub_path!r} of image {mount.image!r}: {error.strerror}"
        raise RuntimeFault(text) from error
    return Mount(mount.container_path, path, readonly=True)


def _clear(folder: str) -> None:
    """Unmount what a container has in it, and remove it."""
    while linux.umount(f"{folder}/{ROOTFS}"):
        pass
    if not os.path.isdir(folder):
        return
    for name in os.listdir(folder):
        while name.startswith(VOLUME_MOUNT) and linux.umount(f"{folder}/{name}"):
            pass
    for name in os.listdir(folder):
        path = f"{folder}/{name}"
        # Never recursively: whatever still were mounted here must not be deleted through.
        os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
    os.rmdir(folder)


def _words(error: OSError) -> str:
    return ": ".join(str(part) for part in (error.filename, error.strerror) if part) or str(error)


def cgroup_path(pod: SandboxConfig, identity: str) -> str:
    """The group of a container (or of a sandbox's pause process) below its pod's."""
    return f"/{(pod.cgroup_parent or 'steersman').strip('/')}/{identity}"


def path_inside(root: str, path: str) -> str:
    """Where the path is once every symbolic link is resolved inside the root; nothing may change below it. Raises OSError."""
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = linux.openat2(top, path, os.O_PATH, linux.RESOLVE_IN_ROOT | linux.RESOLVE_NO_MAGICLINKS)
    finally:
        os.close(top)
    try:
        return os.readlink(f"/proc/self/fd/{found}")
    finally:
        os.close(found)


@contextmanager
def _mapped_for(sandbox: SandboxRecord) -> Iterator[Mapped | None]:
    """Whose owners the container's files need; None: the node's own. Raises OSError."""
    if not sandbox.config.id_mappings or sandbox.pause is None:
        yield None
        return
    namespace = idmapped.open_namespace(sandbox.pause.pid)
    try:
        yield Mapped(namespace, sandbox.config.id_mappings)
    finally:
        os.close(namespace)


def make_directory_inside(rootfs: str, path: str, owner: int = 0) -> None:
    """mkdir -p of a path in the container's root file system, every symbolic link resolved inside it. `owner`: user and group of
    what is made."""
    resolve = linux.RESOLVE_IN_ROOT | linux.RESOLVE_NO_MAGICLINKS
    flags = os.O_PATH | os.O_DIRECTORY
    root = os.open(rootfs, flags | os.O_CLOEXEC)
    try:
        done = ""
        for part in path.strip("/").split("/") if path.strip("/") else ():
            parent = linux.openat2(root, done or ".", flags, resolve)
            try:
                done = f"{done}/{part}"
                try:
                    os.close(linux.openat2(root, done, flags, resolve))
                except FileNotFoundError:
                    os.mkdir(part, 0o755, dir_fd=parent)
                    if owner:
                        os.chown(part, owner, owner, dir_fd=parent, follow_symlinks=False)
            finally:
                os.close(parent)
    finally:
        os.close(root)
