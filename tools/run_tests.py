"""All tests, as `make test` runs them: what needs no root in parallel, then what starts real containers, then a look round.

The look round compares processes, mounts, interfaces, namespaces, nft tables and cgroups before and after: tests leave nothing.
With the environment variable JUNIT_DIR, the results are written there too, to plain.xml and root.xml (for tools/conformance.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
WORKERS = max(2, os.cpu_count() or 2)


def output(*command: str) -> set[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return {line.strip() for line in done.stdout.splitlines() if line.strip()}


def interfaces() -> set[str]:
    return {path.name for path in Path("/sys/class/net").iterdir()}


def processes() -> set[str]:
    """Processes that containers and clusters are made of."""
    names = {"conmon", "crun", "runc", "pause", "docker-registry", "busybox", "nginx", "etcd"}
    names |= {"containerd", "containerd-shim"}
    found = set()
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            name = comm.read_text().strip()
        except OSError:
            continue
        if name in names or name.startswith("steersman"):
            found.add(f"{name} {comm.parent.name}")
    return found


def mounts() -> set[str]:
    return {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}


def cgroups() -> set[str]:
    """Only those of containers: the machine's own come and go."""
    top = Path("/sys/fs/cgroup")
    found = set()
    for level in (top, *(child for child in top.iterdir() if child.is_dir())):
        found |= {str(child) for child in level.iterdir() if child.is_dir() and "steersman" in child.name}
    return found


def surroundings() -> dict[str, set[str]]:
    return {
        "processes": processes(),
        "mounts": mounts(),
        "interfaces": interfaces(),
        "network namespaces": output("ip", "netns", "list"),
        "nft tables": output("nft", "list", "tables"),
        "cgroups": cgroups(),
    }


def reported(name: str) -> list[str]:
    """pytest's option for a junit file of that name, if one is wanted."""
    directory = os.environ.get("JUNIT_DIR")
    return [f"--junit-xml={directory}/{name}.xml"] if directory else []


def main() -> int:
    before = surroundings()
    arguments = sys.argv[1:] or ["tests"]
    # A place of its own: pytest clears up after earlier runs in its usual one, and stumbles over what those left mounted.
    with tempfile.TemporaryDirectory(prefix="steersman-tests-") as place:
        plain = [*PYTEST, "--basetemp", f"{place}/plain", "-n", str(WORKERS), "-m", "not root", *reported("plain")]
        # A file's tests share what it started. Clusters are in namespaces of their own, so those at a time do not meet; as
        # they wait for real time as well, there is one more at a time than processors.
        spread = ["-n", str(WORKERS + 1), "--dist", "loadfile"]
        rooted = [*PYTEST, "--basetemp", f"{place}/root", *spread, "-m", "root", "--durations=15", *reported("root")]
        codes = [subprocess.run([*command, *arguments], check=False).returncode for command in (plain, rooted)]
    left = {kind: sorted(now - before[kind]) for kind, now in surroundings().items() if now - before[kind]}
    for kind, items in left.items():
        print(f"the tests left {kind} behind: {', '.join(items)}", file=sys.stderr)
    # 5: no test of that sort was selected, which happens when a path is named.
    failed = any(code not in (0, 5) for code in codes)
    return 1 if failed or left else 0


if __name__ == "__main__":
    sys.exit(main())
