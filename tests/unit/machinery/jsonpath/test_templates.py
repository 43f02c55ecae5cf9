"""kubectl's JSONPath: what it finds, how that is printed, and what it says about mistakes."""

from __future__ import annotations

import pytest
from tests.unit.cli.kubectl.output.subject import printed

from steersman.cli.kubectl.output import PrintOptions
from steersman.machinery.jsonpath.parse import JSONPathError, relax

FOUND = {
    "{.metadata.name}": "web",
    ".metadata.name": ".metadata.name",
    "x{.kind}y": "xPody",
    "{.kind}\n{.apiVersion}": "Pod\nv1",
    "{.metadata.labels}": '{"a.b/c-d":"x","app":"web"}',
    "{.metadata.annotations.html}": "<a href='x'>&</a>",
    "{.metadata.annotations}": '{"html":"\\u003ca href=\'x\'\\u003e\\u0026\\u003c/a\\u003e","multi":"a\\nb\\n"}',
    "{.metadata.labels.a\\.b/c-d}": "x",
    "{.metadata.labels['a\\.b/c-d']}": "x",
    "{.metadata['name','namespace']}": "web default",
    "{.metadata.nope.more}": "",
    "{.metadata.name.x}": "",
    "{.}": "",
    "{.spec.hostNetwork}": "false",
    "{.spec.terminationGracePeriodSeconds}": "30",
    "{.spec.containers[*].name}": "a b",
    "{.spec.containers[0:2].name}": "a b",
    "{.spec.containers[0,1].name}": "a b",
    "{.spec.containers[-1:].name}": "b",
    "{.spec.containers[-1].name}": "b",
    "{.spec.containers[::2].name}": "a",
    "{.spec.containers[0:0].name}": "",
    "{.spec.containers.name}": "",
    "{.spec.containers[*].ports[*].containerPort}": "80 443",
    "{..containerPort}": "80 443",
    '{.spec.containers[?(@.name=="b")].image}': "img:2",
    '{.spec.containers[?(@.name!="b")].image}': "img:1",
    '{.spec.containers[?( @.name == "a" )].image}': "img:1",
    '{.spec.containers[?(@.name>"a")].name}': "b",
    "{.spec.containers[?(@.ports)].name}": "a",
    "{.spec.containers[?(@.ports[0].containerPort>79)].name}": "a",
    '{range .spec.containers[*]}{.name}{"\\t"}{.image}{"\\n"}{end}': "a\timg:1\nb\timg:2\n",
    "{range .spec.containers[*]}{.name}:{range .ports[*]}{.containerPort},{end};{end}{.kind}": "a:80,443,;b:;Pod",
    "{range .nope[*]}{.x}{end}after": "after",
    "{range .spec.containers[*]}{.name}": "ab",
    "{1}{1.5}{true}{'x'}": "11.5truex",
}

PARSE_ERRORS = {
    "{": "unclosed action",
    "{.kind\n}": "unclosed action",
    '{"a': "unterminated quoted string",
    "{.a[0": "unterminated array",
    "{.a[x]}": "invalid array index x",
    "{*.name}": "unrecognized character in action: U+002A '*'",
    '{.a[?(@.name=="a"]}': "unterminated filter",
    "{.a[?(@.x)x]}": "unclosed array expect ]",
    "{.a[?(@.x)": "unclosed array expect ]",
    "{....name}": "invalid multiple recursive descent",
    "{1.2.3}": "cannot parse number 1.2.3",
}

RUN_ERRORS = {
    "{.spec.containers[5].name}": "array index out of bounds: index 5, length 2",
    "{.spec.containers[0:5].name}": "array index out of bounds: index 4, length 2",
    "{.spec.containers[1:0].name}": "starting index 1 is greater than ending index 0",
    "{.spec.containers[::0].name}": "step must be > 0",
    "{.spec[0]}": "map[string]interface {} is not array or slice",
    "{.metadata.name[0]}": "string is not array or slice",
    "{end}": "not in range, nothing to end",
    "{foo}": "unrecognized identifier foo",
    '{.spec.containers[?(@.ports[0].containerPort=="80")].name}': "incompatible types for comparison",
    "{.spec.containers[?(@.ports[*].containerPort==80)].name}": "can only compare one element at a time",
}


@pytest.mark.parametrize("template", FOUND)
def test_a_template_prints_what_it_finds(template: str) -> None:
    assert printed(f"jsonpath={template}") == FOUND[template]


@pytest.mark.parametrize("template", PARSE_ERRORS)
def test_a_template_that_cannot_be_read_says_why(template: str) -> None:
    assert printed(f"jsonpath={template}") == f"error: error parsing jsonpath {template}, {PARSE_ERRORS[template]}"


@pytest.mark.parametrize("template", RUN_ERRORS)
def test_a_template_that_does_not_fit_the_object_says_why_and_shows_it(template: str) -> None:
    lines = printed(f"jsonpath={template}").split("\n")
    assert lines[0].endswith(
        f": Error executing template: {RUN_ERRORS[template]}. Printing more information for debugging the template:"
    )
    assert lines[1:3] == ["\ttemplate was:", f"\t\t{template}"]
    assert lines[4].startswith('\t\tmap[string]interface {}{"apiVersion":"v1", "kind":"Pod", "metadata":map[string]interface {}{')
    assert lines[5:] == ["", "", ""]


def test_results_as_json_are_one_list_per_action() -> None:
    assert printed("jsonpath-as-json={.spec.containers[*].name}") == '[\n    "a",\n    "b"\n]\n'
    assert printed("jsonpath-as-json={.nope}") == "[]\n"


def test_missing_keys_are_an_error_where_they_are_not_allowed() -> None:
    text = printed("jsonpath={.metadata.nope}", options=PrintOptions(allow_missing_keys=False))
    assert "Error executing template: nope is not found." in text


@pytest.mark.parametrize("text", ["metadata.name", ".metadata.name", "{metadata.name}", "{.metadata.name}"])
def test_a_bare_path_may_be_written_in_four_ways(text: str) -> None:
    assert relax(text) == "{.metadata.name}"


def test_braces_that_do_not_match_are_no_bare_path() -> None:
    with pytest.raises(JSONPathError, match="unexpected path string"):
        relax("{.metadata")
