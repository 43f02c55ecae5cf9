"""The contract of interface.Runtime: what a program sees inside its container."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.cri.bench import Bench, shell

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import Device, DNSConfig, Mount, NamespaceMode, Resources, Security

pytestmark = pytest.mark.root
Run = Callable[[Callable[[Bench], Awaitable[None]]], None]


def test_command_and_args_follow_kubernetes_rule(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            # The image has no entrypoint and Cmd ["sh"].
            assert await bench.output(runtime, shell("", name="args", command=(), args=("echo", "from", "args"))) == ["from args"]
            assert await bench.output(runtime, shell("", name="both", command=("echo",), args=("of", "both"))) == ["of both"]

    run(scenario)


def test_environment_directory_and_host_name(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            config = shell("env | sort; pwd; hostname; cat /etc/hostname", envs=(("A", "1"), ("B", "x=y"), ("A", "2")))
            pod = bench.pod(hostname="web-0", dns=DNSConfig(("10.96.0.10",), ("a.svc", "b"), ("ndots:5",)))
            lines = await bench.output(runtime, replace(config, working_dir="/made/for/it"), pod)
            assert {"A=2", "B=x=y", "HOSTNAME=web-0", "PATH=/bin", "HOME=/root"} <= set(lines)
            assert lines[-3:] == ["/made/for/it", "web-0", "web-0"]
            resolv = await bench.output(runtime, shell("cat /etc/resolv.conf", name="dns"), pod)
            assert resolv == ["search a.svc b", "nameserver 10.96.0.10", "options ndots:5"]

    run(scenario)


def test_users_groups_and_capabilities(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            script = "id; grep -E 'Cap(Eff|Bnd)|NoNewPrivs' /proc/self/status"
            numeric = Security(run_as_user=1000, run_as_group=3000, supplemental_groups=(4000,), no_new_privs=True)
            lines = await bench.output(runtime, shell(script, name="numeric", security=numeric))
            assert lines[0] == "uid=1000 gid=3000 groups=3000,4000"
            assert [line.split()[1] for line in lines[1:]] == ["0000000000000000", "00000000a80425fb", "1"]
            named = await bench.output(runtime, shell("id", name="named", security=Security(run_as_username="www-data")))
            assert named == ["uid=33(www-data) gid=33(www-data) groups=33(www-data)"]
            bare = Security(drop_capabilities=("ALL",), add_capabilities=("NET_BIND_SERVICE",))
            lines = await bench.output(runtime, shell(script, name="bare", security=bare))
            assert lines[1].split()[1] == "0000000000000400"
            with pytest.raises(RuntimeFault, match="no matching entries in passwd|no users found"):
                await bench.output(runtime, shell("", name="unknown", security=Security(run_as_username="nobody-here")))

    run(scenario)


def test_privileged_and_protected(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            script = "touch /here && echo writable; cat /proc/kcore | head -c 1 | wc -c; ls /dev | grep -c '^loop-control$'; "
            script += "mount -t tmpfs none /tmp && echo mounted"
            closed = Security(readonly_rootfs=True, masked_paths=("/proc/kcore",), readonly_paths=("/proc/sys",))
            pod = bench.pod(privileged=True)  # as the kubelet has it if any of its containers is
            assert await bench.output(runtime, shell(f"({script}) 2>/dev/null", name="closed", security=closed), pod) == [
                "0",
                "0",
            ]
            opened = shell(f"({script}) 2>/dev/null", name="open", security=Security(privileged=True))
            lines = await bench.output(runtime, opened, pod)
            assert lines[0] == "writable"
            assert lines[-1] == "mounted"
            device = shell("echo x > /dev/mine && echo wrote", name="device", devices=(Device("/dev/mine", "/dev/null", "rw"),))
            assert await bench.output(runtime, device, pod) == ["wrote"]

    run(scenario)


def test_seccomp_profiles_hold(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        profile = bench.root / "profile.json"
        rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}
        profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
        script = (
            "grep Seccomp: /proc/self/status | cut -f2; nc 127.0.0.1 1 2>&1 | grep -q implemented || echo socket;"
            "unshare -m true 2>/dev/null || echo no-unshare; mkdir /d || echo no-mkdir"
        )
        expected = {
            "RuntimeDefault": ["2", "socket", "no-unshare"],
            f"Localhost:{profile}": ["2", "socket", "no-mkdir"],
            "Unconfined": ["0", "socket"],
        }
        async with bench.runtime() as runtime:
            for number, (wanted, lines) in enumerate(expected.items()):
                admin = () if wanted == "RuntimeDefault" else ("SYS_ADMIN",)
                config = shell(script, name=f"c{number}", security=Security(seccomp=wanted, add_capabilities=admin))
                found = await bench.output(runtime, config)
                assert [line for line in found if "mkdir:" not in line] == lines, wanted
            with pytest.raises(RuntimeFault, match="seccomp profile"):
                await bench.output(runtime, shell("", name="bad", security=Security(seccomp="Localhost:/no/such")))

    run(scenario)


def test_mounts_come_in_order_and_can_be_read_only(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        volume = bench.root / "volume"
        (volume / "inner").mkdir(parents=True)
        (volume / "file").write_text("content\n")
        (bench.root / "hosts").write_text("127.0.0.1 localhost\n")
        mounts = (
            Mount("/data/inner/deep", str(bench.root / "made")),
            Mount("/data", str(volume)),
            Mount("/ro", str(volume), readonly=True),
            Mount("/etc/hosts", str(bench.root / "hosts")),
        )
        (volume / "inner" / "deep").mkdir()
        async with bench.runtime() as runtime:
            script = "cat /data/file /etc/hosts; touch /data/new /data/inner/deep/new; touch /ro/new 2>/dev/null || echo refused"
            assert await bench.output(runtime, shell(script, mounts=mounts)) == ["content", "127.0.0.1 localhost", "refused"]
        assert (volume / "new").exists()
        assert (bench.root / "made" / "new").exists()

    run(scenario)


def test_containers_of_a_pod_share_network_and_ipc_but_not_processes(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            script = "for n in net ipc uts pid mnt; do readlink /proc/self/ns/$n; done; ip -o addr show lo | wc -l; echo $$"
            lasting = shell(f"echo shared > /dev/shm/x; {script}; exec sleep 100", name="first")
            await bench.started(runtime, lasting)
            first = [text for _, text in await bench.written(7, "first")]
            second = await bench.output(runtime, shell(f"cat /dev/shm/x; {script}", name="second"))
            assert second[0] == "shared"
            assert first[:3] == second[1:4]
            assert {first[3], first[4]}.isdisjoint({second[4], second[5]})
            assert first[-1] == second[-1] == "1"
            host = [str(Path(f"/proc/self/ns/{name}").readlink()) for name in ("net", "ipc", "uts", "pid", "mnt")]
            assert set(host).isdisjoint(first)

    run(scenario)


def test_a_shared_process_namespace_has_the_pause_process_first_and_no_way_to_the_host(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            pod = bench.pod(pid=NamespaceMode.POD)
            shared = Security(pid=NamespaceMode.POD, add_capabilities=("SYS_PTRACE",))
            sandbox, other = await bench.started(runtime, shell("sleep 1000", name="other", security=shared), pod)
            script = "cat /proc/1/comm; ls /proc/1/root/; ls /proc/1/root/.. ; until killall sleep; do :; done 2>/dev/null"
            lines = await bench.output(runtime, shell(script, security=shared), pod)
            assert lines[0] == "pause" and lines[1:].count("pause") == 2
            assert {"home", "boot", "usr"}.isdisjoint(lines)
            await bench.ended(runtime, other)
            _, plain = await bench.started(runtime, shell("sleep 1000", name="plain"), pod)
            target = Security(pid=NamespaceMode.TARGET, target_id=plain)
            script = "until grep -x sleep /proc/1/comm; do :; done"  # before, it is what becomes the program
            assert await bench.output(runtime, shell(script, name="debug", security=target), pod) == ["sleep"]

    run(scenario)


def test_the_hosts_namespaces_can_be_asked_for(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            pod = bench.pod(network=NamespaceMode.NODE, ipc=NamespaceMode.NODE, pid=NamespaceMode.NODE)
            script = "for n in net ipc uts pid; do readlink /proc/self/ns/$n; done"
            lines = await bench.output(runtime, shell(script, security=Security(pid=NamespaceMode.NODE)), pod)
            assert lines == [str(Path(f"/proc/self/ns/{name}").readlink()) for name in ("net", "ipc", "uts", "pid")]
            assert bench.attached() == []

    run(scenario)


@pytest.mark.skipif(not Path("/sys/kernel/mm/hugepages/hugepages-2048kB").exists(), reason="no such pages on this machine")
def test_huge_pages_are_limited(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            limits = Resources(memory_limit=64 << 20, huge_pages=(("2MB", 6 << 20),))
            files = "/sys/fs/cgroup/hugetlb/hugetlb.2MB.limit_in_bytes /sys/fs/cgroup/hugetlb.2MB.max"
            lines = await bench.output(runtime, shell(f"cat {files} 2>/dev/null", resources=limits))
            assert lines == [str(6 << 20)]

    run(scenario)


def test_limits_hold_can_be_changed_and_are_counted(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            limits = Resources(memory_limit=64 << 20, cpu_shares=512, cpu_quota=50_000, pids_limit=100)
            _, container = await bench.started(runtime, shell("sleep 100", resources=limits))

            async def memory() -> str:
                files = "/sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max"
                return (await runtime.exec_sync(container, ["sh", "-c", f"cat {files} 2>/dev/null"], 60)).stdout.decode().strip()

            assert await memory() == str(64 << 20)
            await runtime.update_container_resources(container, Resources(memory_limit=96 << 20, cpu_shares=256))
            assert await memory() == str(96 << 20)
            usage = await runtime.container_stats(container)
            assert usage.cpu_nanoseconds > 0
            assert 0 < usage.memory_working_set <= usage.memory_usage < 96 << 20
            assert usage.processes == int(bench.counts_processes)

    run(scenario)


def test_sysctls_are_set_in_the_pods_namespaces(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            pod = bench.pod(sysctls={"net.ipv4.ip_unprivileged_port_start": "80", "kernel.shm_rmid_forced": "1"})
            script = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced"
            assert await bench.output(runtime, shell(script), pod) == ["80", "1"]
            with pytest.raises(RuntimeFault, match="no/such"):
                await runtime.run_pod_sandbox(bench.pod("other", sysctls={"net.no.such": "1"}))

    run(scenario)
