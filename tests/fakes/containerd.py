"""A containerd of a test's own: root, state, socket and configuration in one directory, ended by pid, nothing left behind.

Its pods get their network from `cni`: either a plugin that leaves them with loopback alone and writes down what it was asked
(the contract suite), or whatever somebody writes into `conf_dir` (a cluster).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from steersman.cri.native import build, pause
from steersman.cri.native.cgroups import mount_version_1, settle_hybrid, unsettle_hybrid

PAUSE_IMAGE = "steersman.test/pause:1"
_PLUGINS = Path("/usr/lib/cni")
_REFUSALS = 100
_CONFIG = """\
version = 2
root = "{root}/root"
state = "{root}/state"
disabled_plugins = [{unwanted}]
[grpc]
address = "{root}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
disable_apparmor = true
disable_hugetlb_controller = false
stream_server_address = "127.0.0.1"
stream_server_port = "0"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{bin_dir}"
conf_dir = "{root}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = "{runc}"
"""
_LOOPBACK_PLUGIN = """\
#!/bin/sh
[ $CNI_COMMAND = ADD ] && [ -e LOG.refuse ] && { echo '{"code": 11, "msg": "no IP addresses available"}'; exit 1; }
case $CNI_COMMAND in
VERSION) echo '{"cniVersion": "0.4.0", "supportedVersions": ["0.4.0"]}'; exit;;
ADD) echo '{"cniVersion": "0.4.0", "interfaces": [{"name": "eth0", "sandbox": "'$CNI_NETNS'"}],' \
  '"ips": [{"version": "4", "interface": 0, "address": "127.0.0.1/8"}]}';;
esac
echo "$CNI_COMMAND $CNI_CONTAINERID" >> LOG
"""
_LOOPBACK_CONF = '{"cniVersion": "0.4.0", "name": "loopback-only", "plugins": [{"type": "loopback-only"}]}'


def lacking() -> str:
    """What is not installed, '' if all is there."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    programs = [name for name in ("containerd", "ctr", "runc") if not shutil.which(name, path=path)]
    if os.geteuid():
        programs.append("root")
    return ", ".join(programs if (_PLUGINS / "ptp").exists() else [*programs, "containernetworking-plugins"])


@dataclass(frozen=True, slots=True)
class Containerd:
    """A daemon that runs, known by its directory."""

    root: Path

    @property
    def socket(self) -> str:
        return f"{self.root}/containerd.sock"

    @property
    def pid(self) -> int:
        return int((self.root / "pid").read_text())

    def hang(self) -> None:
        """Stop it, to the last of its threads: until each has seen the signal the others go on answering."""
        os.kill(self.pid, signal.SIGSTOP)
        for each in Path(f"/proc/{self.pid}/task").iterdir():
            while (each / "stat").read_text().rpartition(")")[2].split()[0] != "T":
                os.sched_yield()

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def has_open(self, path: str) -> bool:
        for each in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if os.readlink(each) == path:
                    return True
        return False

    def load(self, archive: Path) -> None:
        command = ["ctr", "--address", self.socket, "--namespace", "k8s.io", "images", "import", str(archive)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def forget_network_calls(self) -> None:
        (self.root / "cni.log").write_text("")

    def refuse_networks(self, yes: bool) -> None:
        """Whether the loopback plugin fails every ADD."""
        note = self.root / "cni.log.refuse"
        note.touch() if yes else note.unlink()

    def network_calls(self, command: str) -> list[str]:
        """The sandboxes for which the loopback plugin was called with a command, each once."""
        words = [line.split() for line in (self.root / "cni.log").read_text().splitlines()]
        return list(dict.fromkeys(sandbox for kind, sandbox in words if kind == command))

    @property
    def task_bundles(self) -> Path:
        return self.root / "state" / "io.containerd.runtime.v2.task" / "k8s.io"

    def end_forgotten(self) -> list[str]:
        """End and remove shims that containerd itself has forgotten; the ids. No call of a kubelet reaches those.

        1.6 does so if it is killed while it makes or removes a task, if the shim is that starts another, and if the client is
        that had it make one.
        """
        known = self._ctr("containers") | self._ctr("tasks")
        gone = []
        for pid, command in self._shims():
            words = command.split("\0")
            identity = words[words.index("-id") + 1] if "-id" in words else ""
            with contextlib.suppress(OSError):
                if identity and identity not in known and not Path(f"/proc/{pid}/task/{pid}/children").read_text():
                    os.kill(pid, signal.SIGKILL)
                    shutil.rmtree(self.task_bundles / identity, ignore_errors=True)
                    gone.append(identity)
        return gone

    def _ctr(self, what: str) -> set[str]:
        command = ["ctr", "--address", self.socket, "-n", "k8s.io", what, "ls", "-q"]
        return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())

    def _shims(self) -> Iterator[tuple[int, str]]:
        for directory in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (directory / "cmdline").read_bytes().decode()
                if str(self.root) in command and "containerd-shim" in command:
                    yield int(directory.name), command

    def leftovers(self) -> list[str]:
        """Mounts and processes that name this daemon and belong to pods."""
        found = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(self.root) in line]
        return found + [command.replace("\0", " ") for _, command in self._shims()]


@contextlib.contextmanager
def running(root: Path, archives: list[Path], *, wrap: list[str] | None = None, loopback: bool = True) -> Iterator[Containerd]:
    """Start it, with these images. `wrap`: words before the command, to have it in a network namespace."""
    made = Containerd(root)
    bin_dir = _PLUGINS
    (root / "cni").mkdir(parents=True, exist_ok=True)
    if loopback:
        bin_dir = root / "bin"
        bin_dir.mkdir()
        (bin_dir / "loopback").symlink_to(_PLUGINS / "loopback")
        plugin = bin_dir / "loopback-only"
        plugin.write_text(_LOOPBACK_PLUGIN.replace("LOG", str(root / "cni.log")))
        plugin.chmod(0o755)
        (root / "cni" / "10-loopback.conflist").write_text(_LOOPBACK_CONF)
        made.forget_network_calls()
    runc = shutil.which("runc", path=f"{os.environ['PATH']}:/usr/sbin") or ""
    # Snapshotters that would only complain about this file system.
    unwanted = ", ".join(f'"io.containerd.snapshotter.v1.{name}"' for name in ("aufs", "btrfs", "devmapper", "zfs"))
    text = _CONFIG.format(root=root, pause=PAUSE_IMAGE, bin_dir=bin_dir, runc=runc, unwanted=unwanted)
    (root / "config.toml").write_text(text)
    _mount_controllers()
    with open(root / "log", "wb") as log:
        command = [*(wrap or []), "containerd", "--config", str(root / "config.toml")]
        daemon = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    (root / "pid").write_text(str(daemon.pid))
    try:
        _wait_for(made)
        for archive in (_pause_image(root), *archives):
            made.load(archive)
        yield made
    finally:
        daemon.terminate()
        daemon.wait()
        unsettle_hybrid()


def _mount_controllers() -> None:
    """containerd finds neither metrics nor out-of-memory kills where a version 1 controller exists and is not mounted, which is
    how the native runtime's tests may leave a hybrid machine."""
    settle_hybrid()
    mounted = {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        name = line.split(":")[1]
        target = f"/sys/fs/cgroup/{name}"
        if name and "=" not in name and target not in mounted:
            mount_version_1(name)


def _wait_for(made: Containerd) -> None:
    """`ctr` waits for the socket by itself, but gives up when it is refused, as it is between the daemon's bind and listen."""
    command = ["ctr", "--address", made.socket, "--connect-timeout", "10s", "--timeout", "10s", "version"]
    for _ in range(_REFUSALS):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "connection refused" not in done.stderr:
            break
    assert done.returncode == 0, done.stderr + (made.root / "log").read_text()


def _pause_image(root: Path) -> Path:
    """The image of the sandboxes' first process: our own pause program and nothing else."""
    program, archive = root / "pause", root / "pause.tar"
    program.write_bytes(pause.pause_program())
    program.chmod(0o755)
    layer = build.layer_tar(build.Contents(copy={"pause": str(program)}))
    build.write_image(str(archive), PAUSE_IMAGE, [layer], {"Entrypoint": ["/pause"]})
    return archive
