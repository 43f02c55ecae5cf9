"""The authorizer library: what is asked of whom, what comes of the answer, and what it costs."""

from __future__ import annotations

from typing import Any

import pytest

from steersman.machinery import cel
from steersman.machinery.cel.library.authorizer import AUTHORIZER, RESOURCE_CHECK, Authorizer, Decision, Question, ResourceCheck

_ENV = cel.KUBERNETES.with_variables(**{"authorizer": AUTHORIZER, "authorizer.requestResource": RESOURCE_CHECK})


def _evaluate(source: str, decision: Decision) -> tuple[Any, int, list[Question]]:
    asked: list[Question] = []

    def ask(question: Question) -> Decision:
        asked.append(question)
        return decision

    whose = Authorizer(ask)
    own = ResourceCheck(whose, "apps", "deployments", "scale", "default", "web")
    program = cel.compile(source, _ENV)
    value, cost = program.measure({"authorizer": whose, "authorizer.requestResource": own})
    return value, cost, asked


@pytest.mark.parametrize(
    ("source", "question"),
    [
        ("authorizer.path('/healthz').check('get').allowed()", Question("get", path="/healthz")),
        ("authorizer.group('').resource('pods').check('create').allowed()", Question("create", resource="pods")),
        (
            "authorizer.group('apps').resource('deployments').subresource('s').namespace('ns').name('n').check('v').allowed()",
            Question("v", group="apps", resource="deployments", subresource="s", namespace="ns", name="n"),
        ),
        (
            "authorizer.serviceAccount('kube-system', 'bot').group('').resource('pods').check('list').allowed()",
            Question("list", ("kube-system", "bot"), resource="pods"),
        ),
        (
            "authorizer.group('').resource('pods').fieldSelector('a=b').labelSelector('c').check('list').allowed()",
            Question("list", resource="pods", field_selector="a=b", label_selector="c"),
        ),
        (
            "authorizer.requestResource.check('update').allowed()",
            Question("update", None, "", "apps", "deployments", "scale", "default", "web"),
        ),
    ],
)
def test_a_check_asks_what_was_put_together(source: str, question: Question) -> None:
    value, _, asked = _evaluate(source, Decision(True))
    assert value is True
    assert asked == [question]


@pytest.mark.parametrize(
    ("accessor", "value"), [("allowed()", False), ("reason()", "no rule"), ("errored()", True), ("error()", "down")]
)
def test_a_decision_tells_what_was_answered(accessor: str, value: Any) -> None:
    found, _, _ = _evaluate(f"authorizer.path('/x').check('get').{accessor}", Decision(False, "no rule", "down"))
    assert found == value


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("authorizer.path(' ').check('get').allowed()", "path must not be empty"),
        ("authorizer.group('').resource('').check('get').allowed()", "resource must not be empty"),
        ("authorizer.serviceAccount('a', 'B').path('/').check('get').allowed()", "Invalid service account name"),
        ("authorizer.serviceAccount('A', 'b').path('/').check('get').allowed()", "Invalid service account namespace"),
    ],
)
def test_what_cannot_be_asked_is_an_error(source: str, text: str) -> None:
    with pytest.raises(cel.CelRuntimeError, match=text):
        _evaluate(source, Decision(True))


def test_a_check_is_expensive_and_the_third_of_an_expression_is_too_much() -> None:
    check = "authorizer.path('/x').check('get').allowed()"
    _, cost, _ = _evaluate(check, Decision(True))
    assert cost == 350_000 + 3
    with pytest.raises(cel.CostLimitExceeded):
        _evaluate(" && ".join([check] * 3), Decision(True))


def test_an_authorizer_has_no_fields() -> None:
    with pytest.raises(cel.CelError, match="does not support field selection"):
        cel.compile("authorizer.user", _ENV)
