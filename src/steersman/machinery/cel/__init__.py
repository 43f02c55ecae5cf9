"""CEL, the Common Expression Language, as Kubernetes has it: `compile(source, env)` gives a Program, which is evaluated often.

    lexer, literals, parser, macros   text to tree (ast.py)         checker, unify, types          what type everything has
    planner, calls, paths, folds      tree to closures              values, kinds, timetext        values, and text of times
    functions, library/               what may be called            cost/                          what it costs, before and while
    environment                       what names mean               errors                         what can go wrong

No expression becomes Python source. Who declares variables and evaluates rules: api/structural/rules.
"""

from steersman.machinery.cel.environment import KUBERNETES, MUTATIONS, Env
from steersman.machinery.cel.errors import (
    BudgetExceeded,
    CelError,
    CelFault,
    CelRuntimeError,
    CostLimitExceeded,
    InstantiationError,
)
from steersman.machinery.cel.frame import Budget
from steersman.machinery.cel.program import Program, compile

__all__ = [
    "KUBERNETES",
    "MUTATIONS",
    "Budget",
    "BudgetExceeded",
    "CelError",
    "CelFault",
    "CelRuntimeError",
    "CostLimitExceeded",
    "Env",
    "InstantiationError",
    "Program",
    "compile",
]
