"""Evaluating the expressions of one policy for one request: variables when they are first used, budgets, questions to the
authorizer.

An evaluation does not wait. Where it asks the authorizer something that nobody has answered yet, it is given up, the answer is
awaited (`Checks`), and it starts over; what it cost up to then is forgotten. Sound, as expressions have no effects.
Source: upstream apiserver pkg/admission/plugin/cel, KEP-3488.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from steersman.apiserver.admission.policies.compiled import Expression
from steersman.apiserver.contracts import Authorizer, RequestInfo, UserInfo, Verdict
from steersman.machinery import cel
from steersman.machinery.cel.library.authorizer import Authorizer as Asked
from steersman.machinery.cel.library.authorizer import Decision, Question
from steersman.machinery.errors import StatusError

REQUEST_BUDGET = 10_000_000
"""What the validations of one policy, binding and parameter may cost; also one mutation."""
CONDITIONS_BUDGET = REQUEST_BUDGET // 4
_ENOUGH = 1 << 62
_TURN = 100_000
"""What may be spent before other requests have a turn: a tenth of a second or so."""
_T = TypeVar("_T")


class Unanswered(Exception):
    """An evaluation came to a question that must be awaited. No error of the language: nothing absorbs it."""

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self.question = question


class Fault(Exception):
    """An expression without a value; the text is upstream's."""


class Checks:
    """What the authorizer answers during one request: each question is asked once."""

    def __init__(self, authorizer: Authorizer, user: UserInfo) -> None:
        self._authorizer, self._user = authorizer, user
        self._answers: dict[Question, Decision] = {}
        self.variable = Asked(self._ask)

    def _ask(self, question: Question) -> Decision:
        found = self._answers.get(question)
        if found is None:
            raise Unanswered(question)
        return found

    async def settled(self, run: Callable[[], _T]) -> _T:
        """What `run` gives when all that it asks is answered. It may be called several times."""
        while True:
            try:
                return run()
            except Unanswered as left:
                self._answers[left.question] = await self._answer(left.question)

    async def _answer(self, question: Question) -> Decision:
        user = self._user
        if question.account is not None:
            namespace, name = question.account
            groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
            user = UserInfo(f"system:serviceaccount:{namespace}:{name}", groups=groups)
        try:
            verdict, reason = await self._authorizer.authorize(user, _asked(question))
        except StatusError as fault:
            return Decision(False, "", fault.message)
        return Decision(verdict is Verdict.ALLOW, reason)


def _asked(question: Question) -> RequestInfo:
    if question.path:
        return RequestInfo(question.verb, question.path)
    return RequestInfo(
        question.verb,
        "",
        is_resource=True,
        group=question.group,
        version="*",
        namespace=question.namespace,
        plural=question.resource,
        subresource=question.subresource,
        name=question.name,
        field_selector=question.field_selector,
        label_selector=question.label_selector,
    )


async def _others() -> None:
    """Let others have a turn."""
    loop = asyncio.get_running_loop()
    turn: asyncio.Future[None] = loop.create_future()
    loop.call_soon(lambda: None if turn.done() else turn.set_result(None))
    await turn


class Evaluation:
    """The expressions of one policy, binding and parameter. activation: what names stand for, but for `variables`.

    budget: what all may cost together.
    """

    def __init__(self, activation: Mapping[str, Any], variables: Mapping[str, Expression], budget: int = REQUEST_BUDGET) -> None:
        self._budget = cel.Budget(budget)
        self._turn = budget
        """What was left when others last had a turn."""
        self._variables = _Variables(variables, activation, self._budget)
        self._activation = {**activation, "variables": self._variables}

    def refill(self, budget: int = REQUEST_BUDGET) -> None:
        """Let what follows have a budget of its own."""
        self._budget.remaining = self._turn = budget

    async def value(self, expression: Expression, checks: Checks) -> Any:
        """Raises Fault, BudgetExceeded (nothing more can be evaluated)."""
        if self._turn - self._budget.remaining > _TURN:
            await _others()
            self._turn = self._budget.remaining
        return await checks.settled(lambda: self._run(expression))

    def _run(self, expression: Expression) -> Any:
        """Raises Fault, BudgetExceeded, Unanswered."""
        if expression.program is None:
            raise Fault(f"compilation error: {expression.fault}")
        before = self._budget.remaining
        fault: cel.CelFault | None = None
        value: Any = None
        try:
            value = expression.program.evaluate(self._activation, self._budget)
        except Unanswered:
            self._budget.remaining = before
            raise
        except cel.BudgetExceeded:
            raise
        except cel.CelFault as found:
            fault = found
        self._budget.spend(self._variables.taken())
        if fault is not None:
            raise Fault(f"expression '{expression.source}' resulted in error: {fault}")
        return value


class _Variables(Mapping[str, Any]):
    """`variables`: worked out when somebody first asks, then known. An error is known as well."""

    def __init__(self, variables: Mapping[str, Expression], activation: Mapping[str, Any], budget: cel.Budget) -> None:
        self._expressions = variables
        self._activation = {**activation, "variables": self}
        self._budget = budget
        self._values: dict[str, Any] = {}
        self._errors: dict[str, cel.CelRuntimeError] = {}
        self._cost = 0

    def taken(self) -> int:
        """What has been spent since the last call."""
        cost, self._cost = self._cost, 0
        return cost

    def __getitem__(self, name: str) -> Any:
        if name in self._errors:
            raise self._errors[name]
        if name not in self._values:
            try:
                self._values[name] = self._worked_out(name, self._expressions[name])
            except cel.CelRuntimeError as fault:
                self._errors[name] = fault
                raise
        return self._values[name]

    def _worked_out(self, name: str, expression: Expression) -> Any:
        """Raises CelRuntimeError, Unanswered."""
        if expression.program is None:
            raise cel.CelRuntimeError(f'composited variable "{name}" fails to compile: {expression.fault}')
        spent = cel.Budget(_ENOUGH)
        spent.searching = self._budget.searching
        try:
            value = expression.program.evaluate(self._activation, spent)
        except cel.CelFault as fault:
            raise cel.CelRuntimeError(f'composited variable "{name}" fails to evaluate: {fault}') from None
        except Unanswered:
            spent.remaining = _ENOUGH
            raise
        finally:
            self._cost += _ENOUGH - spent.remaining
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._expressions)

    def __len__(self) -> int:
        return len(self._expressions)

    def __contains__(self, name: object) -> bool:
        return name in self._expressions
