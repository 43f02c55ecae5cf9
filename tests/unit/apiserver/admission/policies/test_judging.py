"""What a ValidatingAdmissionPolicy says of a request: the core, without a server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from steersman.api.resources import PODS
from steersman.apiserver.admission.policies import inputs
from steersman.apiserver.admission.policies.compiled import compiled
from steersman.apiserver.admission.policies.evaluation import Checks
from steersman.apiserver.admission.policies.judging import Judgement, judge
from steersman.apiserver.contracts import AdmissionRequest, RequestInfo, UserInfo, Verdict
from steersman.machinery.meta import Obj

JANE = UserInfo("jane", groups=("developers",))


class Asked:
    """Lets everybody create pods, and nothing else; knows what it was asked."""

    def __init__(self) -> None:
        self.questions: list[tuple[str, RequestInfo]] = []

    async def authorize(self, user: UserInfo, info: RequestInfo) -> tuple[Verdict, str]:
        self.questions.append((user.name, info))
        allowed = info.verb == "create" and info.plural == "pods"
        return (Verdict.ALLOW, "") if allowed else (Verdict.NO_OPINION, "no rule")


def pod(**labels: str) -> Obj:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": labels}, "spec": {"priority": 7}}


def judged(authorizer: Asked | None = None, *, params: Obj | None = None, **spec: Any) -> Judgement:
    asked = AdmissionRequest("CREATE", PODS, "", "default", "web", pod(app="web"), None, JANE)
    checks = Checks(authorizer or Asked(), JANE)
    seen = inputs.request_of(asked, PODS)
    activation = inputs.activation(asked, seen, checks.variable, obj=asked.obj, old=None)
    activation |= {"params": params, "namespaceObject": {"metadata": {"name": "default", "labels": {"env": "prod"}}}}
    policy = compiled({"metadata": {"name": "p"}, "spec": {"failurePolicy": "Fail", **spec}})
    return asyncio.run(judge(policy, activation, checks))


def messages(expression: str, **more: Any) -> list[str]:
    spec = {key: more.pop(key) for key in ("variables", "matchConditions", "failurePolicy", "paramKind") if key in more}
    params = more.pop("params", None)
    return [
        failure.message for failure in judged(params=params, validations=[{"expression": expression, **more}], **spec).failures
    ]


@pytest.mark.parametrize(
    "expression",
    [
        "object.spec.priority == 7",
        "oldObject == null",
        "request.operation == 'CREATE' && request.userInfo.username == 'jane' && 'developers' in request.userInfo.groups",
        "request.kind.kind == 'Pod' && request.resource.resource == 'pods' && request.requestResource.version == 'v1'",
        "request.name == 'web' && request.namespace == 'default' && !request.dryRun && !has(request.subResource)",
        "namespaceObject.metadata.labels['env'] == 'prod'",
        "authorizer.group('').resource('pods').namespace('default').check('create').allowed()",
        "!authorizer.requestResource.check('delete').allowed()",
        "authorizer.requestResource.check('delete').reason() == 'no rule'",
        "authorizer.serviceAccount('kube-system', 'bot').group('').resource('pods').check('create').allowed()",
    ],
)
def test_an_expression_sees_all_of_the_request(expression: str) -> None:
    assert messages(expression) == []


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        ({"expression": " object.spec.priority > 9 "}, "failed expression: object.spec.priority > 9"),
        ({"expression": "false", "message": " too low "}, "too low"),
        ({"expression": "false", "messageExpression": "'is ' + string(object.spec.priority)"}, "is 7"),
        ({"expression": "false", "message": "plain", "messageExpression": "' '"}, "plain"),
        ({"expression": "false", "message": "plain", "messageExpression": "'a\\nb'"}, "plain"),
        ({"expression": "false", "message": "plain", "messageExpression": "object.spec.nothing"}, "plain"),
        (
            {"expression": "object.spec.foo == 1"},
            "expression 'object.spec.foo == 1' resulted in error: no such key: foo",
        ),
    ],
)
def test_a_failure_is_told_by_expression_text_or_source(validation: Obj, message: str) -> None:
    assert messages(**validation) == [message]


def test_what_has_no_value_counts_as_the_failure_policy_says() -> None:
    assert messages("object.spec.foo == 1", failurePolicy="Ignore") == []
    assert messages("false", failurePolicy="Ignore") == ["failed expression: false"]


def test_all_failures_are_told_with_their_place_and_reason() -> None:
    spec = [{"expression": "false"}, {"expression": "true"}, {"expression": "false", "reason": "Forbidden"}]
    found = judged(validations=spec).failures
    assert [(failure.index, failure.reason) for failure in found] == [(0, "Invalid"), (2, "Forbidden")]


def test_a_variable_is_worked_out_once_and_sees_the_earlier_ones() -> None:
    authorizer = Asked()
    variables = [
        {"name": "mine", "expression": "authorizer.path('/x').check('get').reason()"},
        {"name": "twice", "expression": "variables.mine + variables.mine"},
        {"name": "unused", "expression": "object.spec.nothing"},
    ]
    validations = [{"expression": "variables.twice == 'no ruleno rule'"}, {"expression": "variables.mine == 'no rule'"}]
    assert judged(authorizer, variables=variables, validations=validations).failures == []
    assert len(authorizer.questions) == 1


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        (
            "object.spec.nothing",
            "expression 'variables.x == 1' resulted in error: composited variable \"x\" fails to evaluate: no such key: nothing",
        ),
        (
            "object.spec.nothing +",
            "expression 'variables.x == 1' resulted in error: composited variable \"x\" fails to compile: compilation failed: "
            "ERROR: <input>:1:22: ",
        ),
    ],
)
def test_a_variable_without_a_value_is_an_error_where_it_is_used(variable: str, message: str) -> None:
    (found,) = messages("variables.x == 1", variables=[{"name": "x", "expression": variable}])
    assert found.startswith(message)
    assert messages("true || variables.x == 1", variables=[{"name": "x", "expression": variable}]) == []


@pytest.mark.parametrize(
    ("conditions", "policy", "told"),
    [
        (["true"], "Fail", ["failed expression: false"]),
        (["false"], "Fail", []),
        (["object.a", "false"], "Fail", []),
        (["object.a == 1", "true"], "Fail", ["expression 'object.a == 1' resulted in error: no such key: a"]),
        (
            ["object.a == 1", "object.b == 1"],
            "Fail",
            [
                "[expression 'object.a == 1' resulted in error: no such key: a, "
                "expression 'object.b == 1' resulted in error: no such key: b]"
            ],
        ),
        (["object.a == 1"], "Ignore", []),
    ],
)
def test_match_conditions_come_first(conditions: list[str], policy: str, told: list[str]) -> None:
    given = [{"name": f"c{index}", "expression": text} for index, text in enumerate(conditions)]
    assert messages("false", matchConditions=given, failurePolicy=policy) == told


def test_parameters_are_seen_and_may_be_missing() -> None:
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    assert messages("params.data.most == '3'", paramKind=kind, params={"data": {"most": "3"}}) == []
    assert messages("params == null", paramKind=kind) == []
    (found,) = messages("params == null")
    assert found.startswith("compilation error: compilation failed: ERROR: <input>:1:1: undeclared reference to 'params'")


def test_annotations_are_texts_or_nothing() -> None:
    given = [
        {"key": "said", "valueExpression": "' priority ' + string(object.spec.priority)"},
        {"key": "none", "valueExpression": "null"},
        {"key": "empty", "valueExpression": "' '"},
        {"key": "long", "valueExpression": "'x'.replace('x', 'yyyyyyyyyy')"},
    ]
    found = judged(auditAnnotations=given)
    assert found.annotations == {"said": "priority 7", "long": "y" * 10}
    wrong = [{"key": "wrong", "valueExpression": "string(object.spec.nothing)"}]
    text = "expression 'string(object.spec.nothing)' resulted in error: no such key: nothing"
    assert judged(auditAnnotations=wrong).annotation_faults == [text]
    assert judged(auditAnnotations=wrong, failurePolicy="Ignore").annotation_faults == []


def test_one_question_is_asked_once_in_a_request() -> None:
    authorizer = Asked()
    check = {"expression": "authorizer.group('').resource('pods').check('create').allowed()"}
    assert judged(authorizer, validations=[check, check, check]).failures == []
    ((who, asked),) = authorizer.questions
    assert who == "jane"
    assert (asked.verb, asked.plural, asked.version, asked.is_resource) == ("create", "pods", "*", True)


def test_what_costs_too_much_together_ends_all_of_it() -> None:
    # A check costs 350,000 each time, however often it was asked before; the budget is ten million.
    dear = {"expression": "authorizer.path('/x').check('get').allowed() || true"}
    assert judged(validations=[dear] * 28).failures == []
    (found,) = judged(validations=[dear] * 29).failures
    assert found.message == "validation failed due to running out of cost budget, no further validation rules will be run"


def test_variables_are_paid_for_by_who_uses_them_first() -> None:
    variables = [{"name": f"v{n}", "expression": "authorizer.path('/x').check('get').allowed()"} for n in range(29)]
    one = [{"expression": f"variables.v{n} || true"} for n in range(28)]
    assert judged(variables=variables, validations=[*one, *one]).failures == []
    assert len(judged(variables=variables, validations=[*one, {"expression": "variables.v28 || true"}]).failures) == 1


def test_one_expression_that_costs_too_much_is_an_error_of_its_own() -> None:
    dear = " || ".join(["authorizer.path('/x').check('get').allowed()"] * 3)
    found = judged(validations=[{"expression": dear}, {"expression": "false"}]).failures
    assert found[0].message == f"expression '{dear}' resulted in error: operation cancelled: actual cost limit exceeded"
    assert found[1].message == "failed expression: false"


def test_others_have_a_turn_between_expensive_expressions() -> None:
    async def scenario() -> int:
        asked = AdmissionRequest("CREATE", PODS, "", "default", "web", pod(), None, JANE)
        checks = Checks(Asked(), JANE)
        activation = inputs.activation(asked, inputs.request_of(asked, PODS), checks.variable, obj=asked.obj, old=None)
        dear = {"expression": "authorizer.path('/x').check('get').allowed() || true"}
        policy = compiled({"metadata": {"name": "p"}, "spec": {"validations": [dear] * 10}})
        loop, turns, over = asyncio.get_running_loop(), 0, False

        def turn() -> None:
            nonlocal turns
            turns += 1
            if not over:
                loop.call_soon(turn)

        loop.call_soon(turn)
        await judge(policy, activation, checks)
        over = True
        return turns

    assert asyncio.run(scenario()) >= 9
