"""Upstream's program and ours beside each other: each with its own directory, kubeconfig and cache; a line through both."""

from __future__ import annotations

import difflib
import shlex
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from tests.e2e.kubectl.known import KNOWN
from tests.e2e.kubectl.lines import LONGEST_S, TOO_LONG, Line, Said, Side, alike
from tools.throwaway import Cluster

REAL, OURS = "real", "ours"
AT_ONCE = 6


@dataclass
class Findings:
    """What a run of many lines came to."""

    compared: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    def note(self, line: Line, real: Said, ours: Said) -> None:
        self.compared.append(line.text)
        if real.code == TOO_LONG and "timeout" not in line.text:
            self.differences.append(f"{line.where}: {line.text}\ntakes longer than {LONGEST_S} s")
        same = real == ours
        if line.text in KNOWN:
            self.known.add(line.text)
            if same:
                self.differences.append(f"{line.where}: {line.text}\nis in KNOWN, but differs no longer")
        elif not same:
            diff = difflib.unified_diff(real.shown().splitlines(), ours.shown().splitlines(), REAL, OURS, lineterm="", n=2)
            self.differences.append(f"{line.where}: {line.text}\n" + "\n".join(diff))


class Sides:
    """Makes a Side of each program for a namespace."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster, self._folder = cluster, folder
        self._programs = {REAL: folder / REAL, OURS: folder / OURS}
        real = shutil.which("kubectl")
        assert real, "kubectl is not installed"
        own = f"{shlex.quote(sys.executable)} -m steersman kubectl"
        for name, command in ((REAL, real), (OURS, own)):
            self._programs[name].mkdir()
            script = self._programs[name] / "kubectl"
            script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            script.chmod(0o755)

    def side(self, program: str, namespace: str, *, prepares: bool = False) -> Side:
        """`prepares`: upstream's program, in the surroundings of either."""
        temporary = self._folder / f"{namespace}-{program}" if not namespace.endswith(program) else self._folder / namespace
        kubeconfig = temporary / "config"
        if not kubeconfig.exists():
            temporary.mkdir(exist_ok=True)
            config = yaml.safe_load(self._cluster.kubeconfig.read_text())
            config["contexts"][0]["context"]["namespace"] = namespace
            kubeconfig.write_text(yaml.safe_dump(config))
        environment = {
            **self._cluster.environment(),
            "KUBECONFIG": str(kubeconfig),
            "KUBECACHEDIR": str(self._folder / f"cache-{program}"),
            "HOME": str(temporary),
            # Ours is compiled once, as it is where it is installed.
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(self._folder / "compiled"),
            "NS": namespace,
            "DIR": str(temporary),
        }
        folder = self._programs[REAL if prepares else program]
        return Side(folder, environment, tuple(self._cluster.netns.wrap([])))

    def both(self, line: Line, *, namespaces: tuple[str, str]) -> tuple[Said, Said]:
        """What upstream's program and ours say to a line, at the same time."""
        pairs = zip((REAL, OURS), namespaces)
        made = [self.side(program, namespace, prepares=line.prepares) for program, namespace in pairs]
        with ThreadPoolExecutor(2) as pool:
            real, ours = pool.map(lambda side: side.run(line.text), made)
        return alike(real), alike(ours)

    def compare(self, alone: Sequence[Line], namespace: str, paragraphs: Sequence[Sequence[Line]]) -> Findings:
        """Lines that only read (`namespace`), in any order, and paragraphs, each in its order: all that at the same time."""
        findings = Findings()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            # Paragraphs take longest, so they begin first.
            changing = [pool.submit(self._paragraph, part, number) for number, part in enumerate(paragraphs)]
            reading = [pool.submit(self.both, line, namespaces=(namespace, namespace)) for line in alone]
            for line, one in zip(alone, reading):
                findings.note(line, *one.result())
            for part, several in zip(paragraphs, changing):
                for line, (real, ours) in zip(part, several.result()):
                    if line.prepares:
                        assert real.code == ours.code == 0, f"{line.where}: {line.text}\n{real.shown()}\n{ours.shown()}"
                    else:
                        findings.note(line, real, ours)
        return findings

    def _paragraph(self, lines: Sequence[Line], number: int) -> list[tuple[Said, Said]]:
        """Each program in a namespace of its own, which is gone afterwards."""
        real, ours = (f"lines-{number:02d}-{program}" for program in (REAL, OURS))
        for namespace in (real, ours):
            self._cluster.kubectl("create", "namespace", namespace)
        try:
            return [self.both(line, namespaces=(real, ours)) for line in lines]
        finally:
            self._cluster.kubectl("delete", "namespace", real, ours, "--wait=false")
