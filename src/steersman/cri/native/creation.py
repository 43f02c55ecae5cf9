"""Making a container without starting it: snapshot, mounted root file system, user, config.json, record.

Everything but the record is found by the container's id, so a crash in between leaves only what recovery.py sweeps away.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace

import orjson

from steersman.cri.interface import ContainerConfig, Mount, NamespaceMode, RuntimeFault, SandboxConfig
from steersman.cri.native import linux, machine, seccomp
from steersman.cri.native.cgroups import Cgroups
from steersman.cri.native.imageindex import ImageRecord
from steersman.cri.native.layout import IMAGE_MOUNT, Layout
from steersman.cri.native.oci import signal_number
from steersman.cri.native.records import ContainerRecord, SandboxRecord
from steersman.cri.native.snapshots import Snapshots
from steersman.cri.native.spec import Surroundings, capabilities, container_spec
from steersman.cri.native.threads import in_own_thread, off_loop
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
            await in_own_thread(lambda: self._mount(identity, config, image, volumes))
            user, spec = await off_loop(self._bundle, identity, sandbox, config, image, target_pid)
        except OSError as error:
            await off_loop(self.discard, identity)
            raise RuntimeFault(f"cannot prepare container {config.name}: {error}") from error
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

    def _mount(self, identity: str, config: ContainerConfig, image: ImageRecord, volumes: Mapping[str, ImageRecord]) -> None:
        self.snapshots.prepare(identity, image.layer_dirs)
        if volumes:
            self.snapshots.borrow(identity, [layer for volume in volumes.values() for layer in volume.layer_dirs])
        self.snapshots.mount(identity, self.layout.rootfs(identity))
        for index, mount in enumerate(config.mounts):
            if mount.image:
                target = self.layout.image_mount(identity, index)
                self.snapshots.mount_image(identity, volumes[mount.image].layer_dirs, target)

    def _bundle(
        self, identity: str, sandbox: SandboxRecord, config: ContainerConfig, image: ImageRecord, target_pid: int
    ) -> tuple[Identity, str]:
        rootfs = self.layout.rootfs(identity)
        signal_number(config.stop_signal or image.defaults.stop_signal or "SIGTERM")
        user = resolve_user(config.security, image.defaults.user, lambda path: read_inside(rootfs, path))
        around = self._surroundings(identity, sandbox, config, target_pid)
        mounts = tuple(self._on_host(identity, index, mount) for index, mount in enumerate(config.mounts))
        for mount in mounts:
            os.makedirs(mount.host_path, exist_ok=True) if not os.path.exists(mount.host_path) else None
        spec = container_spec(replace(config, mounts=mounts), image.defaults, user, around, rootfs=rootfs)
        make_directory_inside(rootfs, spec["process"]["cwd"])
        with open(f"{self.layout.bundle(identity)}/config.json", "wb") as file:
            file.write(orjson.dumps(spec))
        return user, around.cgroup

    def _on_host(self, identity: str, index: int, mount: Mount) -> Mount:
        """An image's mount by where it is on the host; others as they are. Raises RuntimeFault."""
        if not mount.image:
            return mount
        root = self.layout.image_mount(identity, index)
        try:
            path = path_inside(root, mount.image_sub_path) if mount.image_sub_path else root
        except OSError as error:
            text = f"{IMAGE_VOLUME_FAILED}: subpath {mount.image_sub_path!r} of image {mount.image!r}: {error.strerror}"
            raise RuntimeFault(text) from error
        return Mount(mount.container_path, path, readonly=True)

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
        directory = self.layout.sandbox(sandbox.id)
        return Surroundings(
            network_ns=self.layout.netns(sandbox.id) if own_network else "",
            ipc_ns=f"/proc/{pause}/ns/ipc" if pod.ipc is not NamespaceMode.NODE else "",
            uts_ns=f"/proc/{pause}/ns/uts" if own_network else "",
            pid_ns=pid_ns.get(security.pid, "new"),
            hostname=pod.hostname or os.uname().nodename,
            resolv_conf=f"{directory}/resolv.conf",
            hostname_file=f"{directory}/hostname",
            shm=self.layout.shm(sandbox.id) if pod.ipc is not NamespaceMode.NODE else "/dev/shm",
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
        """Unmount its root file system and image volumes, and remove its bundle. Idempotent."""
        bundle = self.layout.bundle(identity)
        while linux.umount(self.layout.rootfs(identity)):
            pass
        if os.path.isdir(bundle):
            for name in os.listdir(bundle):
                while name.startswith(IMAGE_MOUNT) and linux.umount(f"{bundle}/{name}"):
                    pass
            for name in os.listdir(bundle):
                path = f"{bundle}/{name}"
                # Never recursively: whatever still were mounted here must not be deleted through.
                os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
            os.rmdir(bundle)
        try:
            os.unlink(self.layout.exit_file(identity))
        except FileNotFoundError:
            pass


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


def make_directory_inside(rootfs: str, path: str) -> None:
    """mkdir -p of a path in the container's root file system, every symbolic link resolved inside it."""
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
            finally:
                os.close(parent)
    finally:
        os.close(root)
