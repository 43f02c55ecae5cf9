"""Go templates: what they print and what they say about mistakes, as Go does."""

from __future__ import annotations

import io

import pytest
from tests.unit.cli.kubectl.output.subject import POD, printed

from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.output import PrintOptions, printer

PRINTED = {
    "{{.metadata.labels}}": "map[a.b/c-d:x app:web]",
    "{{.nope}} {{.nope.x}}": "<no value> <no value>",
    "{{range .spec.containers}}{{.name}} {{end}}": "a b ",
    "{{range $i, $c := .spec.containers}}{{$i}}={{$c.name}};{{else}}none{{end}}": "0=a;1=b;",
    "{{range .nope}}{{.}}{{else}}none{{end}}": "none",
    "{{range $k, $v := .metadata.labels}}{{$k}}={{$v}} {{end}}": "a.b/c-d=x app=web ",
    "{{range .spec.containers}}{{if eq .name `a`}}{{continue}}{{end}}{{.name}}{{break}}{{end}}": "b",
    '{{if eq .kind "Pod"}}P{{else if eq .kind "X"}}X{{else}}E{{end}}': "P",
    "{{with .nope}}a{{else with .kind}}{{.}}{{end}}": "Pod",
    "{{if .nope}}y{{end}}{{if not .nope}}n{{end}}": "n",
    "{{len .spec.containers}}{{len `abc`}}": "23",
    '{{index .metadata "labels" "app"}}{{(index .spec.containers 0).name}}': "weba",
    '{{printf "%s-%d %v %q %5.2f|%-5s|%05d" .kind 3 .metadata.labels .kind 1.5 "a" 42}}': (
        'Pod-3 map[a.b/c-d:x app:web] "Pod"  1.50|a    |00042'
    ),
    '{{printf "%d %s" "x" 3}}{{printf "%s"}}{{printf "%s" 1 2}}': "%!d(string=x) %!s(int=3)%!s(MISSING)%!s(int=1)%!(EXTRA int=2)",
    '{{printf "%x %X %c %U %t %e" 255 255 65 65 true 1.5}}': "ff FF A U+0041 true 1.500000e+00",
    "{{print .kind 1 2 .kind}}{{println 1 2}}": "Pod1 2Pod1 2\n",
    "{{1e3}} {{0x10}} {{-3}} {{1.0}} {{1e21}} {{1000000.5}} {{'a'}}": "1000 16 -3 1 1e+21 1.0000005e+06 97",
    'a {{- " b " -}} c': "a b c",
    "{{- /* c */ -}} x": "x",
    '{{$x := 1}}{{range .spec.containers}}{{$x = .name}}{{end}}{{$x}}': "b",
    '{{define "x"}}[{{.}}]{{end}}{{template "x" .kind}}{{template "x"}}': "[Pod][<no value>]",
    '{{block "b" .kind}}<{{.}}>{{end}}': "<Pod>",
    '{{"aGVsbG8=" | base64decode}}{{exists .metadata "name"}}{{exists .metadata "x" "y"}}': "hellotruefalse",
    "{{html `<a>`}}{{js `it's <`}}{{urlquery `a b&c`}}": "&lt;a&gt;it\\'s \\u003Ca+b%26c",
    '{{and 1 0}}{{or 0 "x"}}{{lt 1 2}}{{ge "b" "a"}}{{ne 1 2}}{{slice "abcdef" 1 3}}': "0xtruetruetruebc",
}  # fmt: skip

PARSE_ERRORS = {
    "{{": "unclosed action",
    '{{"x': "unterminated quoted string",
    "{{/* x }}": "unclosed comment",
    "{{foo}}": 'function "foo" not defined',
    "{{$y}}": 'undefined variable "$y"',
    "{{if}}": "missing value for if",
    "{{end}}": "unexpected {{end}}",
    "{{range .x}}": "unexpected EOF",
    "{{#}}": 'unexpected "#" in command',
    "{{(.kind}}": "unclosed left paren",
    "{{.kind)}}": "unexpected right paren",
    "{{1x}}": 'bad number syntax: "1x"',
    '{{"a" | "b"}}': "non executable command in pipeline stage 2",
    "{{break}}": "{{break}} outside {{range}}",
    "{{range $i, $e, $f := .x}}{{end}}": "too many declarations in range",
    "{{if true}}a{{else}}b{{else}}c{{end}}": "expected end; found {{else}}",
}

RUN_ERRORS = {
    "{{.metadata.name.x}}": '1:11: executing "output" at <.metadata.name.x>: can\'t evaluate field x in type interface {}',
    "{{index .spec.containers 5}}": (
        '1:2: executing "output" at <index .spec.containers 5>: error calling index: index out of range: 5'
    ),
    '{{eq 1 "x"}}': '1:2: executing "output" at <eq 1 "x">: error calling eq: incompatible types for comparison',
    "{{range .kind}}{{end}}": '1:8: executing "output" at <.kind>: range can\'t iterate over Pod',
    "{{not 1 2}}": '1:2: executing "output" at <not>: wrong number of args for not: want 1 got 2',
    "{{printf 3}}": '1:9: executing "output" at <3>: expected string; found 3',
    '{{template "x"}}': '1:11: executing "output" at <{{template "x"}}>: template "x" not defined',
    "{{1.5}}{{nil}}": '1:9: executing "output" at <nil>: nil is not a command',
    "\n\n{{.kind.y}}": '3:7: executing "output" at <.kind.y>: can\'t evaluate field y in type interface {}',
}


@pytest.mark.parametrize("template", PRINTED)
def test_a_template_prints_as_gos_does(template: str) -> None:
    assert printed(f"go-template={template}") == PRINTED[template]


@pytest.mark.parametrize("template", PARSE_ERRORS)
def test_a_template_that_cannot_be_read_says_why(template: str) -> None:
    expected = f"error: error parsing template {template}, template: output:1: {PARSE_ERRORS[template]}"
    assert printed(f"template={template}") == expected


@pytest.mark.parametrize("template", RUN_ERRORS)
def test_a_template_that_fails_shows_where_and_on_what(template: str) -> None:
    out = io.StringIO()
    with pytest.raises(KubectlError) as caught:
        printer(f"go-template={template}").print(POD, out)
    assert str(caught.value).endswith(f": template: output:{RUN_ERRORS[template]}")
    shown = out.getvalue()
    assert f"Error executing template: template: output:{RUN_ERRORS[template]}. Printing more information" in shown
    assert '\traw data was:\n\t\t{"apiVersion":"v1","kind":"Pod"' in shown
    assert "\tobject given to template engine was:\n\t\tmap[apiVersion:v1 kind:Pod" in shown


def test_a_template_may_come_from_the_other_flag() -> None:
    assert printed("", options=PrintOptions(template="{{.kind}}")) == "Pod"
    assert printed("go-template", options=PrintOptions(template="{{.kind}}")) == "Pod"


def test_missing_keys_are_an_error_where_they_are_not_allowed() -> None:
    text = printed("go-template={{.nope}}", options=PrintOptions(allow_missing_keys=False))
    assert text.endswith('at <.nope>: map has no entry for key "nope"')
