"""What is wrong with admission policies and their bindings when they are written, expressions above all."""

from __future__ import annotations

from typing import Any

import pytest

from steersman.api.defaults import admission as defaults
from steersman.api.validation.admission_policies import (
    validate_mutating_policy,
    validate_mutating_policy_update,
    validate_validating_binding,
    validate_validating_policy,
    validate_validating_policy_update,
)
from steersman.machinery.fielderrors import FieldError
from steersman.machinery.meta import Obj

_RULE = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"], "scope": "*"}


def _policy(**spec: Any) -> Obj:
    made: Obj = {"metadata": {"name": "p"}, "spec": {"matchConstraints": {"resourceRules": [_RULE]}, **spec}}
    defaults.policy(made)
    return made


def validating(*expressions: str, **spec: Any) -> Obj:
    return _policy(validations=[{"expression": item} for item in expressions], **spec)


def mutating(patch_type: str, expression: str, **spec: Any) -> Obj:
    block = "applyConfiguration" if patch_type == "ApplyConfiguration" else "jsonPatch"
    mutation = {"patchType": patch_type, block: {"expression": expression}}
    return _policy(reinvocationPolicy="Never", mutations=[mutation], **spec)


def texts(errors: list[FieldError]) -> list[str]:
    return [str(error) for error in errors]


@pytest.mark.parametrize(
    "expression",
    [
        "object.spec.replicas > 1 && oldObject == null",
        "request.userInfo.username != '' && has(request.options.dryRun)",
        "namespaceObject.metadata.labels['a'] == 'b'",
        "authorizer.group('apps').resource('deployments').check('create').allowed()",
        "authorizer.requestResource.check('create').errored()",
        "variables.replicas > variables.least",
    ],
)
def test_expressions_may_name_all_of_these(expression: str) -> None:
    variables = [
        {"name": "replicas", "expression": "object.spec.replicas"},
        {"name": "least", "expression": "variables.replicas - 1"},
    ]
    assert texts(validate_validating_policy(validating(expression, variables=variables))) == []


@pytest.mark.parametrize(
    ("expression", "detail"),
    [
        ("object.spec.replicas", "must evaluate to bool"),
        ("1", "must evaluate to bool but got int"),
        ("params.a == 1", "undeclared reference to 'params'"),
        ("variables.later > 1", "undefined field 'later'"),
        ("request.uid == ''", "undefined field 'uid'"),
        ("Object{} == Object{}", "undeclared reference to 'Object'"),
    ],
)
def test_other_expressions_are_refused(expression: str, detail: str) -> None:
    (found,) = texts(validate_validating_policy(validating(expression)))
    assert found.startswith("spec.validations[0].expression: Invalid value: ")
    assert detail in found


def test_a_message_has_no_authorizer() -> None:
    policy = validating("true")
    policy["spec"]["validations"][0]["messageExpression"] = "authorizer.path('/').check('get').reason()"
    (found,) = texts(validate_validating_policy(policy))
    assert "spec.validations[0].messageExpression" in found
    assert "undeclared reference to 'authorizer'" in found


@pytest.mark.parametrize(
    ("patch_type", "expression"),
    [
        ("ApplyConfiguration", "Object{spec: Object.spec{replicas: object.spec.replicas + 1}}"),
        ("ApplyConfiguration", "has(object.spec) ? Object{} : Object{metadata: Object.metadata{}}"),
        ("JSONPatch", "[JSONPatch{op: 'add', path: '/' + jsonpatch.escapeKey('a/b'), value: 'x'}]"),
        ("JSONPatch", "authorizer.path('/').check('get').allowed() ? [JSONPatch{op: 'remove', path: '/a'}] : []"),
    ],
)
def test_mutations_that_give_what_their_type_says_are_taken(patch_type: str, expression: str) -> None:
    assert texts(validate_mutating_policy(mutating(patch_type, expression))) == []


@pytest.mark.parametrize(
    ("patch_type", "expression", "detail"),
    [
        ("ApplyConfiguration", "object", "must evaluate to Object but got dyn"),
        ("ApplyConfiguration", "Object.spec{}", "must evaluate to Object but got Object.spec"),
        ("ApplyConfiguration", "[JSONPatch{op: 'add'}]", "must evaluate to Object but got list(JSONPatch)"),
        ("JSONPatch", "Object{}", "must evaluate to list(JSONPatch) but got Object"),
        ("JSONPatch", "['a']", "must evaluate to list(JSONPatch) but got list(string)"),
        ("JSONPatch", "[JSONPatch{operation: 'add'}]", "undefined field 'operation'"),
        ("JSONPatch", "[JSONPatch{op: variables.x}]", "undefined field 'x'"),
    ],
)
def test_mutations_of_another_type_are_refused(patch_type: str, expression: str, detail: str) -> None:
    (found,) = texts(validate_mutating_policy(mutating(patch_type, expression)))
    block = "applyConfiguration" if patch_type == "ApplyConfiguration" else "jsonPatch"
    assert found.startswith(f"spec.mutations[0].{block}.expression: Invalid value: ")
    assert detail in found


def test_what_is_stored_is_not_compiled_again() -> None:
    old = validating("self.from.the.future()")
    assert texts(validate_validating_policy_update({**old, "metadata": {"name": "p", "labels": {"a": "b"}}}, old)) == []
    changed = validating("self.from.the.future()", paramKind={"apiVersion": "v1", "kind": "ConfigMap"})
    assert len(validate_validating_policy_update(changed, old)) == 1
    other = mutating("JSONPatch", "later()")
    assert texts(validate_mutating_policy_update(other, other)) == []
    assert len(validate_mutating_policy_update(mutating("JSONPatch", "sooner()"), other)) == 1


@pytest.mark.parametrize(
    ("spec", "detail"),
    [
        ({"policyName": "p"}, "spec.validationActions: Required value: at least one validation action is required"),
        ({"policyName": "p", "validationActions": ["Deny", "Warn"]}, "must not contain both Deny and Warn"),
        ({"policyName": "", "validationActions": ["Deny"]}, "spec.policyName: Required value"),
        (
            {"policyName": "p", "validationActions": ["Deny"], "paramRef": {"parameterNotFoundAction": "Deny"}},
            "one of name or selector must be specified",
        ),
    ],
)
def test_a_binding_must_say_what_it_does(spec: Obj, detail: str) -> None:
    assert any(detail in text for text in texts(validate_validating_binding({"metadata": {"name": "b"}, "spec": spec})))
