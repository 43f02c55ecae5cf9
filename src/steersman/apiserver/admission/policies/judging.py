"""What one ValidatingAdmissionPolicy says of one request, with one parameter. What is done about it is the binding's to say.

Source: upstream apiserver pkg/admission/plugin/policy/validating, KEP-3488.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from steersman.apiserver.admission.policies.compiled import Expression, Policy, Validation
from steersman.apiserver.admission.policies.evaluation import CONDITIONS_BUDGET, Checks, Evaluation, Fault
from steersman.machinery import cel

LONGEST_MESSAGE = 5 * 1024
LONGEST_ANNOTATION = 10 * 1024


@dataclass(frozen=True, slots=True)
class Failure:
    """index: of the validation."""

    index: int
    message: str
    reason: str = "Invalid"


@dataclass(slots=True)
class Judgement:
    """annotation_faults: those that refuse the request, whatever the binding's actions."""

    failures: list[Failure] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)
    annotation_faults: list[str] = field(default_factory=list)


async def met(conditions: Sequence[Expression], activation: Mapping[str, Any], checks: Checks) -> bool:
    """Whether all match conditions hold. One that is false counts, whatever is wrong with others. Raises Fault."""
    if not conditions:
        return True
    evaluation = Evaluation({**activation, "namespaceObject": None}, {}, CONDITIONS_BUDGET)
    faults: list[str] = []
    for condition in conditions:
        try:
            if not await evaluation.value(condition, checks):
                return False
        except Fault as fault:
            faults.append(str(fault))
        except cel.BudgetExceeded as fault:
            raise Fault(str(fault)) from None
    if faults:
        raise Fault(faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]")
    return True


async def judge(policy: Policy, activation: Mapping[str, Any], checks: Checks) -> Judgement:
    """activation: with `params` and `namespaceObject`."""
    found = Judgement()
    try:
        if not await met(policy.conditions, activation, checks):
            return found
    except Fault as fault:
        _failed(policy, found, 0, str(fault))
        return found
    evaluation = Evaluation(activation, policy.variables)
    try:
        for index, validation in enumerate(policy.validations):
            await _validate(policy, index, validation, evaluation, checks, found)
    except cel.BudgetExceeded as fault:
        found.failures.clear()
        _failed(policy, found, 0, str(fault))
        return found
    if policy.annotations:
        evaluation.refill()
        await _annotate(policy, evaluation, checks, found)
    return found


async def _validate(
    policy: Policy, index: int, validation: Validation, evaluation: Evaluation, checks: Checks, found: Judgement
) -> None:
    """Raises BudgetExceeded."""
    try:
        passed = await evaluation.value(validation.expression, checks)
    except Fault as fault:
        _failed(policy, found, index, str(fault))
        return
    if passed is True:
        return
    try:
        message = await _message(validation, evaluation, checks)
    except cel.BudgetExceeded as fault:
        _failed(policy, found, index, f"failed messageExpression: {fault}")
        return
    found.failures.append(Failure(index, message, validation.reason))


async def _message(validation: Validation, evaluation: Evaluation, checks: Checks) -> str:
    """Raises BudgetExceeded."""
    said = ""
    if validation.message is not None:
        try:
            value = await evaluation.value(validation.message, checks)
        except Fault:
            value = None
        said = value.strip() if isinstance(value, str) else ""
        if len(said.encode("utf-8", "surrogatepass")) > LONGEST_MESSAGE or "\n" in said:
            said = ""
    return said or validation.text or f"failed expression: {validation.expression.source}"


async def _annotate(policy: Policy, evaluation: Evaluation, checks: Checks, found: Judgement) -> None:
    for annotation in policy.annotations:
        try:
            value = await evaluation.value(annotation.value, checks)
        except Fault as fault:
            if not policy.ignores_failures:
                found.annotation_faults.append(str(fault))
            continue
        except cel.BudgetExceeded as fault:
            found.failures.clear()
            _failed(policy, found, 0, str(fault))
            return
        text = value.strip() if isinstance(value, str) else ""
        if text:
            found.annotations[annotation.key] = text[:LONGEST_ANNOTATION]


def _failed(policy: Policy, found: Judgement, index: int, message: str) -> None:
    """An expression without a value counts as failurePolicy says."""
    if not policy.ignores_failures:
        found.failures.append(Failure(index, message))
