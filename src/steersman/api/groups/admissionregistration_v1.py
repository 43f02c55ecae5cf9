"""admissionregistration.k8s.io/v1: who else is asked about writes: webhooks, and policies in CEL."""

from __future__ import annotations

from steersman.api.defaults import admission as defaults
from steersman.api.kinds import STATUS, KindSpec
from steersman.api.strategies import admission
from steersman.machinery.gvk import Resource

GROUP = "admissionregistration.k8s.io"
SCHEMA = "io.k8s.api.admissionregistration.v1."
_CATEGORIES = ("api-extensions",)


def _resource(plural: str, kind: str) -> Resource:
    return Resource(GROUP, "v1", plural, False, kind)


MUTATING_POLICIES = KindSpec(
    resource=_resource("mutatingadmissionpolicies", "MutatingAdmissionPolicy"),
    categories=_CATEGORIES,
    schema=SCHEMA + "MutatingAdmissionPolicy",
    default=defaults.policy,
    strategy=admission.MUTATING_POLICY,
)

MUTATING_POLICY_BINDINGS = KindSpec(
    resource=_resource("mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding"),
    categories=_CATEGORIES,
    schema=SCHEMA + "MutatingAdmissionPolicyBinding",
    default=defaults.binding,
    strategy=admission.MUTATING_POLICY_BINDING,
)

MUTATING_WEBHOOKS = KindSpec(
    resource=_resource("mutatingwebhookconfigurations", "MutatingWebhookConfiguration"),
    categories=_CATEGORIES,
    schema=SCHEMA + "MutatingWebhookConfiguration",
    default=defaults.mutating_webhooks,
    strategy=admission.MUTATING_WEBHOOKS,
)

VALIDATING_POLICIES = KindSpec(
    resource=_resource("validatingadmissionpolicies", "ValidatingAdmissionPolicy"),
    categories=_CATEGORIES,
    schema=SCHEMA + "ValidatingAdmissionPolicy",
    default=defaults.policy,
    strategy=admission.VALIDATING_POLICY,
    subresources=(STATUS,),
)

VALIDATING_POLICY_BINDINGS = KindSpec(
    resource=_resource("validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding"),
    categories=_CATEGORIES,
    schema=SCHEMA + "ValidatingAdmissionPolicyBinding",
    default=defaults.binding,
    strategy=admission.VALIDATING_POLICY_BINDING,
)

VALIDATING_WEBHOOKS = KindSpec(
    resource=_resource("validatingwebhookconfigurations", "ValidatingWebhookConfiguration"),
    categories=_CATEGORIES,
    schema=SCHEMA + "ValidatingWebhookConfiguration",
    default=defaults.webhooks,
    strategy=admission.VALIDATING_WEBHOOKS,
)

KINDS: tuple[KindSpec, ...] = (
    MUTATING_POLICIES,
    MUTATING_POLICY_BINDINGS,
    MUTATING_WEBHOOKS,
    VALIDATING_POLICIES,
    VALIDATING_POLICY_BINDINGS,
    VALIDATING_WEBHOOKS,
)
