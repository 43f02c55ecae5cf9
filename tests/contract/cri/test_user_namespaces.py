"""Pods with a user namespace of their own (KEP-127) on the native runtime: whose are files and processes, inside and outside."""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.contract.cri.bench import Bench, shell

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import IdMapping, Mount, NamespaceMode, SandboxConfig, Security
from steersman.cri.native import idmapped

pytestmark = pytest.mark.root
Run = Callable[[Callable[[Bench], Awaitable[None]]], None]
_FIRST = 65536 * 7
_MAPPING = IdMapping(0, _FIRST, 65536)


def pod(bench: Bench, **more: Any) -> SandboxConfig:
    # As a cluster's state directory is: closed to everybody but root.
    bench.root.chmod(0o700)
    return bench.pod(id_mappings=(_MAPPING,), **more)


def test_root_inside_is_somebody_else_outside(run_native: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            script = (
                "tr -s ' ' < /proc/self/uid_map; tr -s ' ' < /proc/self/gid_map; id -u; touch /made /tmp/made; ls -ln /bin/sh"
            )
            script += "; hostname; cat /proc/sys/net/ipv4/ping_group_range; echo err >&2; exec sleep 1000"
            sandbox, container = await bench.started(runtime, shell(script), pod(bench, hostname="mapped"))
            written = await bench.written(7)
            assert ("stderr", "err") in written
            lines = [text.strip() for stream, text in written if stream == "stdout"]
            assert lines[:3] == [f"0 {_FIRST} 65536", f"0 {_FIRST} 65536", "0"]
            assert lines[3].split()[2:4] == ["0", "0"], "the image's files are root's inside"
            assert lines[4:] == ["mapped", "0\t65535"]
            pid = (await runtime.container_status(container)).pid
            assert os.stat(f"/proc/{pid}").st_uid == _FIRST
            assert os.stat(f"/proc/{pid}/root/made").st_uid == _FIRST
            pause = (await runtime.pod_sandbox_status(sandbox)).pid
            assert os.stat(f"/proc/{pause}").st_uid == _FIRST + 65535
            spaces = ("user", "net", "ipc", "uts")
            assert all(os.readlink(f"/proc/{pid}/ns/{name}") == os.readlink(f"/proc/{pause}/ns/{name}") for name in spaces)
            done = await runtime.exec_sync(container, ["sh", "-c", "id -u; cat /proc/self/uid_map"], 60)
            assert done.stdout.split()[:3] == [b"0", b"0", str(_FIRST).encode()]

    run_native(scenario)


def test_a_user_that_is_not_root_and_a_shared_process_namespace(run_native: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            security = Security(run_as_user=1000, run_as_group=3000, supplemental_groups=(4000,), pid=NamespaceMode.POD)
            config = shell("id; cat /proc/1/comm", security=security)
            lines = await bench.output(runtime, config, pod(bench, pid=NamespaceMode.POD))
            assert lines == ["uid=1000 gid=3000 groups=3000,4000", "pause"]

    run_native(scenario)


def test_volumes_show_their_owners_and_what_is_written_is_theirs_on_disk(run_native: Run) -> None:
    async def scenario(bench: Bench) -> None:
        volume, secret = bench.root / "volume", bench.root / "secret"
        volume.mkdir()
        (volume / "roots").write_text("root's\n")
        (volume / "theirs").write_text("1000's\n")
        os.chown(volume / "theirs", 1000, 2000)
        secret.write_text("hidden\n")
        secret.chmod(0o400)
        mounts = (Mount("/data", str(volume)), Mount("/secret", str(secret), readonly=True))
        script = "cd /data; stat -c '%u:%g' roots theirs /secret /etc/hostname /etc/resolv.conf /dev/shm /work; cat /secret roots"
        script += "; touch new; chown 1000 new; echo x > /secret || echo refused; echo y > /dev/shm/y && echo shared"
        async with bench.runtime() as runtime:
            config = shell(f"({script}) 2>/dev/null", mounts=mounts, working_dir="/work")
            lines = await bench.output(runtime, config, pod(bench))
        expected = ["0:0", "1000:2000", "0:0", "0:0", "0:0", "0:0", "0:0", "hidden", "root's", "refused", "shared"]
        assert lines == expected
        assert (os.stat(volume / "new").st_uid, os.stat(volume / "new").st_gid) == (1000, 0)

    run_native(scenario)


def test_root_inside_cannot_touch_what_is_roots_on_the_node(run_native: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            powers = Security(add_capabilities=("SYS_ADMIN", "NET_ADMIN", "SYS_TIME", "SYS_CHROOT"))
            script = "ip link set lo down && echo own-network; mount -t tmpfs t /mnt && echo own-mounts"
            script += "; echo 1 > /proc/sys/vm/overcommit_memory || echo not-the-nodes; mknod /tmp/null c 1 3 || echo no-devices"
            config = shell(f"mkdir -p /mnt; ({script}) 2>/dev/null", security=powers)
            lines = await bench.output(runtime, config, pod(bench))
            assert lines == ["own-network", "own-mounts", "not-the-nodes", "no-devices"]

    run_native(scenario)


def test_without_mapped_mounts_the_files_of_the_image_change_their_owner(
    run_native: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idmapped, "possible", lambda folder, namespace: False)

    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            lines = await bench.output(runtime, shell("stat -c '%u:%g' / /bin/sh /etc; touch /bin/new && id -u"), pod(bench))
            assert lines == ["0:0", "0:0", "0:0", "0"]

    run_native(scenario)


def test_an_impossible_mapping_is_told(run_native: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            broken = bench.pod(id_mappings=(_MAPPING, IdMapping(0, 65536, 65536)))
            with pytest.raises(RuntimeFault, match="Invalid argument"):
                await runtime.run_pod_sandbox(broken)

    run_native(scenario)


def test_owners_are_given_below_a_folder_and_modes_stay(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    file = tmp_path / "a" / "su"
    file.write_text("x")
    file.chmod(0o4755)
    os.chown(tmp_path / "a", 70000, 5)
    (tmp_path / "link").symlink_to("/etc/passwd")
    idmapped.give(str(tmp_path), (_MAPPING,))
    assert stat.S_IMODE(file.stat().st_mode) == 0o4755
    assert file.stat().st_uid == os.lstat(tmp_path / "link").st_uid == _FIRST
    assert ((tmp_path / "a").stat().st_uid, (tmp_path / "a").stat().st_gid) == (70000, _FIRST + 5)
    assert os.stat("/etc/passwd").st_uid == 0


def test_a_runtime_says_whether_it_can(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            await runtime.status()
            # Debian's containerd is older than user namespaces in CRI.
            assert runtime.user_namespaces() is (bench.containerd is None)

    run(scenario)
