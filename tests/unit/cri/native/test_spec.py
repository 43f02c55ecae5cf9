"""The OCI spec: Kubernetes' command rule, capabilities, resources, mounts, users. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import ContainerConfig, Mount, Propagation, Resources, Security
from steersman.cri.native import seccomp
from steersman.cri.native.pause import pause_program
from steersman.cri.native.spec import (
    ImageDefaults,
    Surroundings,
    capabilities,
    command_line,
    container_spec,
    environment,
    linux_resources,
)
from steersman.cri.native.users import Identity, resolve_user

OURS = frozenset({"CHOWN", "KILL", "NET_BIND_SERVICE", "NET_ADMIN", "SETUID"})
Words = tuple[str, ...]
CONFIG = ContainerConfig(name="c", image="i")


@pytest.mark.parametrize(
    ("command", "args", "argv"),
    [
        ((), (), ("/entry", "image-arg")),
        ((), ("a",), ("/entry", "a")),
        (("/c",), (), ("/c",)),
        (("/c",), ("a",), ("/c", "a")),
    ],
)
def test_the_pods_command_and_args_over_the_images(
    command: tuple[str, ...], args: tuple[str, ...], argv: tuple[str, ...]
) -> None:
    image = ImageDefaults(entrypoint=("/entry",), command=("image-arg",))
    assert command_line(replace(CONFIG, command=command, args=args), image) == argv


def test_nothing_to_run_is_an_error() -> None:
    with pytest.raises(RuntimeFault, match="no command specified"):
        command_line(CONFIG, ImageDefaults())


def test_the_pods_environment_wins_over_the_images() -> None:
    image = ImageDefaults(env=("PATH=/image", "A=image", "EMPTY=", "HOME=/elsewhere"))
    found = environment(replace(CONFIG, envs=(("A", "pod"), ("B", "x=y"))), image, "host", "/root")
    assert found == ["PATH=/image", "HOSTNAME=host", "A=pod", "EMPTY=", "HOME=/elsewhere", "B=x=y"]


@pytest.mark.parametrize(
    ("security", "expected"),
    [
        (Security(), "CHOWN KILL NET_BIND_SERVICE SETUID"),
        (Security(drop_capabilities=("ALL",)), ""),
        (Security(drop_capabilities=("all",), add_capabilities=("net_bind_service",)), "NET_BIND_SERVICE"),
        (Security(drop_capabilities=("CAP_KILL",), add_capabilities=("NET_ADMIN",)), "CHOWN NET_ADMIN NET_BIND_SERVICE SETUID"),
        (Security(add_capabilities=("ALL",), drop_capabilities=("KILL",)), "CHOWN NET_ADMIN NET_BIND_SERVICE SETUID"),
        (Security(privileged=True), "CHOWN KILL NET_ADMIN NET_BIND_SERVICE SETUID"),
    ],
)
def test_capabilities(security: Security, expected: str) -> None:
    assert capabilities(security, OURS) == [f"CAP_{name}" for name in expected.split()]


def test_a_capability_we_do_not_have_is_an_error() -> None:
    with pytest.raises(RuntimeFault, match="SYS_TIME"):
        capabilities(Security(add_capabilities=("SYS_TIME",)), OURS)


def test_resources_leave_out_what_is_not_set() -> None:
    assert linux_resources(Resources(), v2=True) == {}
    assert linux_resources(Resources(memory_limit=5, pids_limit=9), v2=False) == {"memory": {"limit": 5}, "pids": {"limit": 9}}
    pages = Resources(huge_pages=(("2MB", 0),))
    assert linux_resources(pages, v2=False) == {"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}
    everything = Resources(cpu_shares=2, cpu_quota=3, cpu_period=4, memory_limit=5, cpuset_cpus="0-1")
    assert linux_resources(everything, v2=True) == {
        "cpu": {"shares": 2, "quota": 3, "period": 4, "cpus": "0-1"},
        "memory": {"limit": 5, "swap": 5},
    }


AROUND = Surroundings(
    network_ns="/netns",
    ipc_ns="/ipc",
    uts_ns="",
    pid_ns="new",
    hostname="h",
    resolv_conf="/sandbox/resolv.conf",
    hostname_file="/sandbox/hostname",
    shm="/sandbox/shm",
    cgroup="/pods/c",
    cgroup_v2=True,
    capabilities=OURS,
    lowest_oom_score_adj=0,
)


def spec(config: ContainerConfig, around: Surroundings = AROUND) -> dict[str, Any]:
    return container_spec(config, ImageDefaults(command=("x",)), Identity(1, 2, (3,), "/"), around, rootfs="/r")


def test_mounts_shallow_before_deep_and_the_pods_own_files_instead_of_ours() -> None:
    mounts = (
        Mount("/a/b", "/2", readonly=True, recursive_read_only=True),
        Mount("/a", "/1", propagation=Propagation.HOST_TO_CONTAINER),
        Mount("/etc/resolv.conf", "/own", readonly=True),
    )
    found = spec(replace(CONFIG, mounts=mounts))
    binds = {mount["destination"]: mount for mount in found["mounts"] if mount["type"] == "bind"}
    assert list(binds) == ["/a", "/etc/hostname", "/dev/shm", "/a/b", "/etc/resolv.conf"]
    assert binds["/etc/resolv.conf"]["source"] == "/own"
    assert binds["/a/b"]["options"] == ["rbind", "rprivate", "rro"]
    assert binds["/a"]["options"] == ["rbind", "rslave", "rw"]
    assert found["linux"]["rootfsPropagation"] == "rslave"


def test_namespaces_and_oom_score() -> None:
    found = spec(replace(CONFIG, resources=Resources(oom_score_adj=-997)))
    assert found["linux"]["namespaces"] == [
        {"type": "mount"},
        {"type": "network", "path": "/netns"},
        {"type": "ipc", "path": "/ipc"},
        {"type": "pid"},
        {"type": "cgroup"},
    ]
    assert found["process"]["oomScoreAdj"] == 0
    host = spec(CONFIG, replace(AROUND, pid_ns="host", cgroup_v2=False))
    assert [space["type"] for space in host["linux"]["namespaces"]] == ["mount", "network", "ipc"]


def test_what_is_masked_is_not_for_the_privileged() -> None:
    masked = Security(masked_paths=("/proc/kcore",), readonly_paths=("/proc/sys",), no_new_privs=True)
    assert spec(replace(CONFIG, security=masked))["linux"]["maskedPaths"] == ["/proc/kcore"]
    free = spec(replace(CONFIG, security=replace(masked, privileged=True)))
    assert (free["linux"]["maskedPaths"], free["linux"]["readonlyPaths"], free["process"]["noNewPrivileges"]) == ([], [], False)


FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/var/www:/bin/false\n",
    "etc/group": "root:x:0:\nweb:x:34:\nextra:x:50:web,other\n",
}


@pytest.mark.parametrize(
    ("security", "image_user", "expected"),
    [
        (Security(), "", Identity(0, 0, (0,), "/root")),
        (Security(), "web", Identity(33, 34, (34, 50), "/var/www")),
        (Security(), "33", Identity(33, 34, (34, 50), "/var/www")),
        (Security(), "web:extra", Identity(33, 50, (50,), "/var/www")),
        (Security(), "1000", Identity(1000, 0, (0,), "/")),
        (
            Security(run_as_user=1000, run_as_group=3000, supplemental_groups=(4000, 3000)),
            "web",
            Identity(1000, 3000, (3000, 4000), "/"),
        ),
        (Security(run_as_user=33, run_as_group=3000), "", Identity(33, 3000, (3000, 50), "/var/www")),
        (Security(run_as_user=33, supplemental_groups=(60,), strict_groups=True), "", Identity(33, 34, (34, 60), "/var/www")),
        (Security(run_as_username="web", supplemental_groups=(50, 60)), "", Identity(33, 34, (34, 50, 60), "/var/www")),
    ],
)
def test_users(security: Security, image_user: str, expected: Identity) -> None:
    assert resolve_user(security, image_user, lambda path: FILES[path]) == expected


def test_seccomp_rules_depend_on_capabilities_and_machine() -> None:
    document = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
        "syscalls": [
            {"names": ["read"], "action": "A"},
            {"names": ["mount"], "action": "A", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["mount"], "action": "E", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["arch_prctl"], "action": "A", "includes": {"arches": ["amd64"]}},
        ],
    }

    def names(caps: list[str], machine: str) -> list[tuple[str, str]]:
        rules = seccomp.resolve(document, caps, machine)["syscalls"]
        return [(rule["names"][0], rule["action"]) for rule in rules]

    assert names([], "x86_64") == [("read", "A"), ("mount", "E"), ("arch_prctl", "A")]
    assert names(["CAP_SYS_ADMIN"], "aarch64") == [("read", "A"), ("mount", "A")]
    assert seccomp.resolve(document, [], "x86_64")["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]


@pytest.mark.parametrize(("machine", "number"), [("x86_64", 62), ("aarch64", 183)])
def test_the_pause_program_is_a_small_static_elf_file(machine: str, number: int) -> None:
    program = pause_program(machine)
    assert program[:7] == b"\x7fELF\x02\x01\x01"
    assert int.from_bytes(program[18:20], "little") == number
    entry = int.from_bytes(program[24:32], "little") - 0x400000
    assert 64 < entry < len(program) < 300
    if machine == "aarch64":
        words = [int.from_bytes(program[at : at + 4], "little") for at in range(entry, len(program) - 32, 4)]
        distance = (words[2] >> 5 & 0x7FFFF) << 2 | words[2] >> 29 & 3
        assert entry + 8 + distance == len(program) - 32  # adr points at the sigaction, which is 8-byte aligned in memory
        assert (entry + 8 + distance) % 8 == 0
        assert words[12] == 0x14000000 | -6 & 0x3FFFFFF  # b loop
