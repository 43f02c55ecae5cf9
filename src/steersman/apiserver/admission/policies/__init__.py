"""ValidatingAdmissionPolicy and MutatingAdmissionPolicy, enforced in the API server (KEP-3488, KEP-3962).

plugins.py    the two plugins; all else is imported with the first binding
hooks.py      which policies are in force                  compiled.py      a policy with its expressions compiled
dispatch.py   which of them a request meets, with which parameters (params.py), as which version (kinds.py)
inputs.py     what expressions see of a request            evaluation.py    variables, budgets, questions to the authorizer
judging.py    what a validating policy says                validating.py    what becomes of that
patching.py   what a mutation makes of an object           mutating.py      all mutations of a request
counts.py     for metrics                                  typechecking.py  expressions that do not fit a kind: told by status.py
Whom a policy is about is in ../matching.py; what the kinds must look like, in api/validation/admission_policies.py.
"""

from steersman.apiserver.admission.policies.plugins import MutatingPolicies, ValidatingPolicies, collect

__all__ = ["MutatingPolicies", "ValidatingPolicies", "collect"]
