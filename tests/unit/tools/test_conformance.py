"""The document of conformance: what is tested, what passed, and what names no behaviour."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.conformance import Behaviour, Marked, behaviours, document, results, shown

LIST = """\
- testname: One
  codename: '[sig-a] One
    should work [Conformance]'
  file: test/e2e/common/node/one.go
- testname: Two
  codename: '[sig-b] Two | should work [LinuxOnly] [Conformance]'
  file: test/e2e/apps/two.go
- testname: Three
  codename: '[sig-b] Three should work [Conformance]'
  file: test/e2e/apps/three.go
"""
REPORT = """\
<testsuites><testsuite>
<testcase classname="tests.x.test_a" name="test_one" time="1"/>
<testcase classname="tests.x.test_a" name="test_two[a]" time="1"/>
<testcase classname="tests.x.test_a" name="test_two[b::c]" time="1"><failure message="no">no</failure></testcase>
<testcase classname="tests.x.test_a.TestIt" name="test_three" time="1"><skipped/></testcase>
<testcase classname="tests.x.test_a" name="test_cleanup" time="1"/>
<testcase classname="tests.x.test_a" name="test_cleanup" time="1"><error message="no">no</error></testcase>
</testsuite></testsuites>
"""
ONE, TWO = "[sig-a] One should work [Conformance]", "[sig-b] Two | should work [LinuxOnly] [Conformance]"
TESTS = [
    Marked("tests/x/test_a.py::test_one", (ONE,)),
    Marked("tests/x/test_a.py::test_two[a]", (TWO,)),
    Marked("tests/x/test_a.py::test_two[b::c]", (TWO,)),
]


@pytest.fixture
def known(tmp_path: Path) -> list[Behaviour]:
    (tmp_path / "list.yaml").write_text(LIST)
    return behaviours(tmp_path / "list.yaml")


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_list_is_read_by_area(known: list[Behaviour]) -> None:
    assert [(item.name, item.area) for item in known] == [
        ("[sig-a] One should work", "common/node"),
        ("[sig-b] Two | should work [LinuxOnly]", "apps"),
        ("[sig-b] Three should work", "apps"),
    ]


@pytest.mark.parametrize(
    ("node", "place"),
    [
        ("tests/x/test_a.py::test_one", ("tests.x.test_a", "test_one")),
        ("tests/x/test_a.py::test_two[b::c]", ("tests.x.test_a", "test_two[b::c]")),
        ("tests/x/test_a.py::TestIt::test_three", ("tests.x.test_a.TestIt", "test_three")),
    ],
)
def test_a_test_is_found_in_reports(node: str, place: tuple[str, str]) -> None:
    assert Marked(node, ()).place == place


def test_a_report_tells_what_passed_and_a_later_one_wins(tmp_path: Path) -> None:
    first = write(tmp_path / "first.xml", REPORT)
    found = results([first])
    assert {name: verdict for (_, name), verdict in found.items()} == {
        "test_one": "passed",
        "test_two[a]": "passed",
        "test_two[b::c]": "failed",
        "test_three": "skipped",
        "test_cleanup": "failed",
    }
    again = '<testsuite><testcase classname="tests.x.test_a" name="test_two[b::c]"/></testsuite>'
    assert results([first, write(tmp_path / "again.xml", again)])["tests.x.test_a", "test_two[b::c]"] == "passed"


def test_the_document_counts_and_names(known: list[Behaviour], tmp_path: Path) -> None:
    text = document(shown(known, TESTS, results([write(tmp_path / "r.xml", REPORT)])))
    both = "`tests/x/test_a.py::test_two[a]`<br>`tests/x/test_a.py::test_two[b::c]`"
    for line in (
        "| apps | 2 | 1 | 0 |",
        "| common/node | 1 | 1 | 1 |",
        "| all | 3 | 2 | 1 |",
        "| apps | [sig-b] Three should work |",
        "| [sig-a] One should work | `tests/x/test_a.py::test_one` | passed |",
        f"| [sig-b] Two \\| should work [LinuxOnly] | {both} | failed |",
    ):
        assert line in text.splitlines()


def test_what_did_not_run_is_told(known: list[Behaviour]) -> None:
    text = document(shown(known, TESTS[:1], {}))
    assert "| [sig-a] One should work | `tests/x/test_a.py::test_one` | not run |" in text


def test_a_codename_that_upstream_does_not_have_is_a_mistake(known: list[Behaviour]) -> None:
    with pytest.raises(ValueError, match=r"tests/x/test_a.py::test_y: \[sig-a\] Typo"):
        shown(known, [Marked("tests/x/test_a.py::test_y", ("[sig-a] Typo",))], {})
