"""Which of upstream's conformance behaviours our tests show: `python tools/conformance.py LIST` writes docs/conformance.md.

LIST is upstream's test/conformance/testdata/conformance.yaml of the release; it is read, not kept here. A test names a behaviour
that it shows by its codename: `@pytest.mark.conformance("[sig-apps] Job should ...")`. What passed is read from junit files
(`--report`, as often as there are runs: `JUNIT_DIR=DIR make test` writes two); without any, the tests that need no root are run.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from steersman.machinery import yamlio

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "conformance.md"
_MARK = "[Conformance]"
_TESTS = ("tests/conformance", "tests/e2e")
"""Where tests name behaviours."""
_TOLD = 20
_INTRODUCTION = """# Conformance

Kubernetes v1.36 names {all} behaviours that every conformant cluster has. {tested} of them have a test here that does what
upstream's does and checks what it checks; {passed} passed in the runs that this file was made from.

Made by `python tools/conformance.py LIST`, with upstream's `test/conformance/testdata/conformance.yaml`; results come from junit
files (`JUNIT_DIR=DIR make test` writes them, `--report FILE` reads them). What several tests show has passed if all of them have.

| area | behaviours | with a test | passed |
|---|---|---|---|"""
_ORDER = ("failed", "not run", "skipped", "passed")
"""Of the results of several tests of a behaviour, the first of these is the behaviour's."""


@dataclass(frozen=True)
class Behaviour:
    """An entry of upstream's list. area: the folder of the test's file, below test/e2e."""

    codename: str
    area: str

    @property
    def name(self) -> str:
        """As people read it."""
        return self.codename.replace(_MARK, "").strip()


@dataclass(frozen=True)
class Marked:
    """One of our tests: its pytest node id, and the codenames that it names."""

    node: str
    codenames: tuple[str, ...]

    @property
    def place(self) -> tuple[str, str]:
        """What junit files call it: classname and name."""
        path, _, name = self.node.partition("::")
        *classes, name = _split(name)
        return ".".join([path.removesuffix(".py").replace("/", "."), *classes]), name


def _split(name: str) -> list[str]:
    """`TestX::test_y[a::b]` -> TestX, test_y[a::b]."""
    head, bracket, parameters = name.partition("[")
    *classes, last = head.split("::")
    return [*classes, last + bracket + parameters]


def behaviours(path: Path) -> list[Behaviour]:
    """Upstream's list. Raises OSError, ValueError."""
    found = yamlio.load(path.read_bytes())
    return [Behaviour(item["codename"], _area(item["file"])) for item in found]


def _area(file: str) -> str:
    return str(Path(file).parent).removeprefix("test/e2e/")


class _Collected:
    """A pytest plugin that keeps what was collected."""

    def __init__(self) -> None:
        self.tests: list[Marked] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            named = tuple(mark.args[0] for mark in item.iter_markers("conformance"))
            if named:
                self.tests.append(Marked(item.nodeid, named))


def collected() -> list[Marked]:
    """All our tests that name a behaviour. Raises ValueError if they cannot be collected."""
    plugin = _Collected()
    with contextlib.redirect_stdout(io.StringIO()) as told:
        code = pytest.main(["--collect-only", "-p", "no:cacheprovider", *(str(ROOT / it) for it in _TESTS)], plugins=[plugin])
    if code != 0:
        raise ValueError("\n".join(["the tests cannot be collected:", *told.getvalue().splitlines()[-_TOLD:]]))
    return plugin.tests


def results(reports: Iterable[Path]) -> dict[tuple[str, str], str]:
    """passed, failed or skipped, by classname and name; of several runs of a test, the last. Raises OSError, ET.ParseError."""
    found: dict[tuple[str, str], str] = {}
    for report in reports:
        # A test whose clean-up failed has a second entry.
        entries = defaultdict(list)
        for case in ET.parse(report).iter("testcase"):
            kinds = {child.tag for child in case}
            verdict = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
            entries[case.get("classname", ""), case.get("name", "")].append(verdict)
        found |= {place: _worst(verdicts) for place, verdicts in entries.items()}
    return found


def _worst(verdicts: Sequence[str]) -> str:
    return min(verdicts, key=_ORDER.index)


@dataclass(frozen=True)
class Shown:
    """A behaviour, the tests that show it, and what came of them."""

    behaviour: Behaviour
    tests: tuple[Marked, ...]
    verdict: str


def shown(known: Sequence[Behaviour], tests: Sequence[Marked], found: Mapping[tuple[str, str], str]) -> list[Shown]:
    """Every behaviour. Raises ValueError for tests that name what is not in the list."""
    by_name = defaultdict(list)
    for test in tests:
        for codename in test.codenames:
            by_name[" ".join(codename.split())].append(test)
    names = {" ".join(behaviour.codename.split()): behaviour for behaviour in known}
    wrong = [f"{test.node}: {name}" for name in by_name.keys() - names.keys() for test in by_name[name]]
    if wrong:
        raise ValueError("\n".join(["no such behaviour:", *sorted(wrong)]))
    return [
        Shown(
            behaviour, tuple(by_name[name]), _worst([found.get(test.place, "not run") for test in by_name[name]] or ["not run"])
        )
        for name, behaviour in names.items()
    ]


def document(all_shown: Sequence[Shown]) -> str:
    """docs/conformance.md."""
    tested = [item for item in all_shown if item.tests]
    passed = [item for item in tested if item.verdict == "passed"]
    areas = defaultdict(list)
    for item in all_shown:
        areas[item.behaviour.area].append(item)
    lines = [_INTRODUCTION.format(all=len(all_shown), tested=len(tested), passed=len(passed))]
    for area in sorted(areas):
        lines.append(_row(area, *_counts(areas[area])))
    lines.append(_row("all", *_counts(all_shown)))
    missing = [item for item in all_shown if not item.tests]
    if missing:
        lines += ["", "## Without a test", "", "| area | behaviour |", "|---|---|"]
        lines += sorted(_row(item.behaviour.area, item.behaviour.name) for item in missing)
    lines += ["", "## Tests", ""]
    for area in sorted(areas):
        lines += [f"### {area}", "", "| behaviour | test | result |", "|---|---|---|"]
        lines += sorted(_row(item.behaviour.name, _places(item.tests), item.verdict) for item in areas[area] if item.tests)
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _counts(items: Sequence[Shown]) -> tuple[int, int, int]:
    tested = [item for item in items if item.tests]
    return len(items), len(tested), sum(item.verdict == "passed" for item in tested)


def _row(*cells: object) -> str:
    return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def _places(tests: Sequence[Marked]) -> str:
    return "<br>".join(f"`{test.node}`" for test in tests)


def run(report: Path, selection: str) -> None:
    """Run the tests that name behaviours, into a junit file; whether they pass is for the reader of the document."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-m",
        f"conformance and ({selection})",
        f"--junit-xml={report}",
    ]
    subprocess.run([*command, *_TESTS], cwd=ROOT, check=False)


def main() -> int:
    parser = argparse.ArgumentParser(description="Write docs/conformance.md.")
    parser.add_argument("list", type=Path, help="upstream's conformance.yaml")
    parser.add_argument(
        "--report", type=Path, action="append", default=[], help="a junit file; the last one that has a test counts"
    )
    parser.add_argument("--select", default="not root", help="without reports: the tests to run, as pytest's -m")
    parser.add_argument("--out", type=Path, default=DOCUMENT)
    given = parser.parse_args()
    try:
        known = behaviours(given.list)
        tests = collected()
        with tempfile.TemporaryDirectory() as place:
            if not given.report:
                given.report.append(Path(place, "junit.xml"))
                run(given.report[0], given.select)
            all_shown = shown(known, tests, results(given.report))
    except (OSError, ValueError, ET.ParseError) as fault:
        print(f"conformance: {fault}", file=sys.stderr)
        return 1
    given.out.write_text(document(all_shown))
    print("behaviours {}, with a test {}, passed {}".format(*_counts(all_shown)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
