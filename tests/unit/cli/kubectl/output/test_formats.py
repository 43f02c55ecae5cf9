"""yaml, json, name, custom columns, tables, and formats that are none."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from tests.unit.cli.kubectl.output.subject import POD, printed

from steersman.cli.kubectl.output import FORMATS, PrintOptions, printer
from steersman.cli.kubectl.output.documents import encode
from steersman.cli.kubectl.output.table import TableOptions, TablePrinter
from steersman.machinery.govalues import number, quote, unquote
from steersman.machinery.meta import Obj

DEPLOYMENT: Obj = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}}
LIST: Obj = {"apiVersion": "v1", "kind": "List", "items": [POD, DEPLOYMENT]}

COLUMNS = {
    "custom-columns=A:.metadata.name,N:spec.terminationGracePeriodSeconds,X:.nope": "A     N     X\nweb   30    <none>\n",
    "custom-columns=C:.spec.containers[*].name,L:.metadata.labels": "C     L\na,b   map[a.b/c-d:x app:web]\n",
    'custom-columns=C:.spec.containers[?(@.image=="img:2")].name': "C\nb\n",
    "custom-columns=A:.metadata.annotations.multi,LONGER:.kind": "A     LONGER\na\nb\n      Pod\n",
    "custom-columns=A:.a,B": "error: unexpected custom-columns spec: B, expected <header>:<json-path-expr>",
    "custom-columns=A:{.metadata": (
        "error: unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or '{.name1.name2}'"
    ),
    "custom-columns=A:.spec[0]": "error: map[string]interface {} is not array or slice",
    "custom-columns=": "error: custom-columns format specified but no custom columns given",
}


def table(*rows: tuple[list[object], Obj]) -> Obj:
    definitions = [
        {"name": "Name", "type": "string", "format": "name", "priority": 0},
        {"name": "Ready", "type": "integer", "priority": 0},
        {"name": "Node", "type": "string", "priority": 1},
    ]
    return {"columnDefinitions": definitions, "rows": [{"cells": cells, "object": {"metadata": meta}} for cells, meta in rows]}


ROWS = table(
    (["web", 1, "n1"], {"namespace": "default", "labels": {"x/app": "web", "b": "c"}}),
    (["longer-name", None, "line\nbreak"], {"namespace": "kube-system"}),
)


def laid_out(options: TableOptions, *tables: Obj) -> str:
    out, made = io.StringIO(), TablePrinter(options)
    for one in tables or (ROWS,):
        made.print(one, out)
    return out.getvalue()


def test_yaml_has_a_line_between_two_objects_and_no_managed_fields() -> None:
    out, made = io.StringIO(), printer("yaml")
    made.print(DEPLOYMENT, out)
    made.print(DEPLOYMENT, out)
    one = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: d\n"
    assert out.getvalue() == f"{one}---\n{one}"
    assert "managedFields" not in printed("yaml", LIST)
    assert "managedFields" in printed("yaml", POD, options=PrintOptions(managed_fields=True))


def test_json_is_indented_by_four_and_safe_in_a_page() -> None:
    assert printed("json", {"b": [], "a": {"x": "<&>"}}) == (
        '{\n    "a": {\n        "x": "\\u003c\\u0026\\u003e"\n    },\n    "b": []\n}\n'
    )
    assert encode({"whole": 3.0, "part": 1.5, "text": "é\u2028"}) == '{"part":1.5,"text":"é\\u2028","whole":3}'


def test_a_list_is_named_by_its_items() -> None:
    assert printed("name", LIST) == "pod/web\ndeployment.apps/d\n"


@pytest.mark.parametrize("spec", ["foo", "json=x", "name=y", "wide=3"])
def test_a_format_that_is_none_names_those_that_are(spec: str) -> None:
    expected = f'error: unable to match a printer suitable for the output format "{spec}", allowed formats are: custom-columns,'
    assert printed(spec).startswith(expected)
    assert tuple(sorted(FORMATS)) == FORMATS


@pytest.mark.parametrize("spec", ["go-template", "template=", "jsonpath", "jsonpath-file", "go-template-file="])
def test_a_template_format_needs_a_template(spec: str) -> None:
    assert printed(spec) == "error: template format specified but no template given"


def test_templates_are_read_from_files(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_text("{.kind}")
    assert printed(f"jsonpath-file={path}") == "Pod"
    path.write_text("{{.kind}}")
    assert printed(f"go-template-file={path}") == "Pod"
    path.write_text("NAME  K\nmetadata.name .kind\n")
    assert printed(f"custom-columns-file={path}", options=PrintOptions(no_headers=True)) == "NAME   K\nweb    Pod\n"
    assert (
        printed(f"jsonpath-file={path}x") == f"error: error reading --template {path}x, open {path}x: no such file or directory"
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "invalid template, missing header line. Expected format"),
        ("A B", "invalid template, missing spec line. Expected format"),
        ("A B\n.a", "number of headers (2) and field specifications (1) don't match"),
    ],
)
def test_a_file_of_columns_has_two_lines_of_equal_length(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_text(text)
    assert printed(f"custom-columns-file={path}").startswith(f"error: {why}")


@pytest.mark.parametrize("spec", COLUMNS)
def test_custom_columns_are_paths_in_a_table(spec: str) -> None:
    assert printed(spec) == COLUMNS[spec]


def test_a_table_shows_the_columns_that_are_not_only_for_wide() -> None:
    assert laid_out(TableOptions()) == "NAME          READY\nweb           1\nlonger-name   \n"
    assert laid_out(TableOptions(wide=True, no_headers=True)) == "web           1     n1\nlonger-name         line...\n"


def test_kubectl_adds_columns_of_its_own() -> None:
    options = TableOptions(with_namespace=True, kind="pod", show_labels=True, label_columns=("x/app",))
    assert laid_out(options) == (
        "NAMESPACE     NAME              READY   APP   LABELS\n"
        "default       pod/web           1       web   b=c,x/app=web\n"
        "kube-system   pod/longer-name                 <none>\n"
    )


def test_a_watch_keeps_headers_and_widths() -> None:
    short = table((["x", 2, ""], {}))
    assert laid_out(TableOptions(), ROWS, short).splitlines()[-1] == "x             2"
    assert laid_out(TableOptions(), table(), short) == "NAME   READY\nx      2\n"


FLOATS = {1e20: "1e+20", 0.00001: "1e-05", 1000000.5: "1.0000005e+06", 100000.0: "100000", -1.5: "-1.5", 0.0: "0"}


@pytest.mark.parametrize(("value", "text"), FLOATS.items())
def test_floats_are_as_short_as_gos(value: float, text: str) -> None:
    assert number(value) == text


def test_quoting_is_gos_and_can_be_undone() -> None:
    text = 'a"b\\\n\x01é\u200b'
    assert quote(text) == '"a\\"b\\\\\\n\\x01é\\u200b"'
    assert unquote(quote(text)) == text
