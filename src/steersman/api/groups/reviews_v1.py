"""authentication.k8s.io/v1 and authorization.k8s.io/v1: questions that are answered at once and never stored."""

from __future__ import annotations

from steersman.api.kinds import KindSpec
from steersman.machinery.gvk import Resource


def _review(group: str, kind: str, *, namespaced: bool = False) -> KindSpec:
    schema = f"io.k8s.api.{group.partition('.')[0]}.v1.{kind}"
    resource = Resource(group, "v1", f"{kind.lower()}s", namespaced, kind)
    return KindSpec(resource=resource, verbs=("create",), schema=schema, virtual=True)


AUTHENTICATION = "authentication.k8s.io"
AUTHORIZATION = "authorization.k8s.io"

SELF_SUBJECT_REVIEWS = _review(AUTHENTICATION, "SelfSubjectReview")
TOKEN_REVIEWS = _review(AUTHENTICATION, "TokenReview")
LOCAL_SUBJECT_ACCESS_REVIEWS = _review(AUTHORIZATION, "LocalSubjectAccessReview", namespaced=True)
SELF_SUBJECT_ACCESS_REVIEWS = _review(AUTHORIZATION, "SelfSubjectAccessReview")
SELF_SUBJECT_RULES_REVIEWS = _review(AUTHORIZATION, "SelfSubjectRulesReview")
SUBJECT_ACCESS_REVIEWS = _review(AUTHORIZATION, "SubjectAccessReview")

KINDS: tuple[KindSpec, ...] = (
    SELF_SUBJECT_REVIEWS, TOKEN_REVIEWS, LOCAL_SUBJECT_ACCESS_REVIEWS, SELF_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_RULES_REVIEWS, SUBJECT_ACCESS_REVIEWS,
)  # fmt: skip
