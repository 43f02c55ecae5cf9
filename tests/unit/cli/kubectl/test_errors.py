"""Errors are told in upstream's words."""

from __future__ import annotations

import pytest

from steersman.cli.kubectl.errors import Aggregate, KubectlError, Unreachable, describe, with_source
from steersman.machinery.errors import Conflict, Invalid, NotFound, Unauthorized, from_status

INVALID = Invalid(
    'Pod "x" is invalid: a',
    details={"kind": "Pod", "name": "x", "causes": [{"field": "b", "message": "m2"}, {"field": "a", "message": "m1"}]},
)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (KubectlError("no"), "error: no"),
        (KubectlError("error: no"), "error: no"),
        (NotFound.of("apps", "deployments", "x"), 'Error from server (NotFound): deployments.apps "x" not found'),
        (Unauthorized(), "error: You must be logged in to the server (Unauthorized)"),
        (INVALID, 'The Pod "x" is invalid: \n* b: m2\n* a: m1'),
        (Invalid("nothing more"), "The request is invalid: nothing more"),
        (Aggregate([INVALID]), 'Error from server (Invalid): Pod "x" is invalid: a'),
        (Aggregate([KubectlError("one"), Aggregate([KubectlError("two")])]), "one\ntwo"),
        (
            with_source("creating", "f.yaml", Conflict("busy")),
            'Error from server (Conflict): error when creating "f.yaml": busy',
        ),
        (
            Unreachable("h:1", ConnectionRefusedError()),
            "The connection to the server h:1 was refused - did you specify the right host or port?",
        ),
        (from_status("nothing here", 404), "Error from server (NotFound): the server could not find the requested resource"),
    ],
)
def test_an_error_is_told(error: Exception, text: str) -> None:
    assert describe(error) == text


def test_the_source_of_a_refusal_may_be_told_twice() -> None:
    error = with_source("applying it for", "f", with_source("patching", "f", Conflict("busy")))
    assert describe(error) == 'Error from server (Conflict): error when applying it for "f": error when patching "f": busy'


def test_what_nobody_expected_is_not_hidden() -> None:
    with pytest.raises(KeyError):
        describe(KeyError("bug"))
