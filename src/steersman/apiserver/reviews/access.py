"""What may they do: the SubjectAccessReview family and SelfSubjectRulesReview.

Source: upstream pkg/registry/authorization and pkg/apis/authorization/validation.
"""

from __future__ import annotations

from steersman.api.groups.reviews_v1 import (
    LOCAL_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_RULES_REVIEWS,
    SUBJECT_ACCESS_REVIEWS,
)
from steersman.api.kinds import KindSpec
from steersman.api.validation import common
from steersman.apiserver.authz import Authorization, selectors
from steersman.apiserver.authz.rbac import joined
from steersman.apiserver.contracts import Call, RequestInfo, UserInfo, Verdict
from steersman.apiserver.http import Response
from steersman.apiserver.reviews import body
from steersman.machinery import fielderrors, names
from steersman.machinery.errors import BadRequest, Invalid
from steersman.machinery.fielderrors import FieldError
from steersman.machinery.meta import Obj

_RESOURCE_RULE = ("verbs", "apiGroups", "resources", "resourceNames")


class Access:
    """CallHandlers."""

    def __init__(self, authorization: Authorization) -> None:
        self._authorization = authorization

    async def subject(self, call: Call) -> Response:
        return await self._review(call, SUBJECT_ACCESS_REVIEWS, "subject")

    async def self_subject(self, call: Call) -> Response:
        return await self._review(call, SELF_SUBJECT_ACCESS_REVIEWS, "self")

    async def local_subject(self, call: Call) -> Response:
        return await self._review(call, LOCAL_SUBJECT_ACCESS_REVIEWS, "local")

    async def self_subject_rules(self, call: Call) -> Response:
        review, warnings = await body.read(call, SELF_SUBJECT_RULES_REVIEWS)
        namespace = (review.get("spec") or {}).get("namespace") or ""
        if not namespace:
            raise BadRequest("no namespace on request")
        sources, faults, incomplete = self._authorization.listed(call.user, namespace)
        resource_rules = [
            {key: rule[key] for key in _RESOURCE_RULE if rule.get(key)} for rule in sources if rule.get("resources")
        ]
        path_rules = [
            {"verbs": rule["verbs"], "nonResourceURLs": rule["nonResourceURLs"]}
            for rule in sources
            if rule.get("nonResourceURLs")
        ]
        status: Obj = {"resourceRules": resource_rules, "nonResourceRules": path_rules, "incomplete": incomplete}
        if faults:
            status["evaluationError"] = joined(faults)
        answer = {"kind": review["kind"], "apiVersion": review["apiVersion"], "metadata": {}, "spec": {}, "status": status}
        return body.answer(call, answer, warnings)

    async def _review(self, call: Call, kind: KindSpec, form: str) -> Response:
        review, warnings = await body.read(call, kind)
        spec = review.get("spec") or {}
        errors = _errors(review, spec, form, call.info.namespace)
        if errors:
            raise Invalid.of(kind.resource.group, kind.kind, "", errors)
        user = call.user if form == "self" else _user(spec)
        info, misread = _question(spec)
        verdict, reason = await self._authorization.authorize(user, info)
        status: Obj = {"allowed": verdict is Verdict.ALLOW}
        if verdict is Verdict.DENY:
            status["denied"] = True
        reason = reason or (self._authorization.explain(user, info) if verdict is Verdict.ALLOW else "")
        if reason:
            status["reason"] = reason
        if misread:
            status["evaluationError"] = "; ".join(misread)
        review["status"] = status
        return body.answer(call, review, warnings)


def _errors(review: Obj, spec: Obj, form: str, namespace: str) -> list[FieldError]:
    errors = []
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and path is not None:
        text = "cannot be specified in combination with resourceAttributes"
        errors.append(fielderrors.invalid("spec.nonResourceAttributes", path, text))
    if resource is not None:
        _selector(errors, resource.get("fieldSelector"), "fieldSelector")
        _selector(errors, resource.get("labelSelector"), "labelSelector")
    if resource is None and path is None:
        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        errors.append(fielderrors.invalid("spec.resourceAttributes", None, text))
    if form != "self" and not spec.get("user") and not spec.get("groups"):
        errors.append(fielderrors.invalid("spec.user", "", "at least one of user or group must be specified"))
    metadata = {key: value for key, value in (review.get("metadata") or {}).items() if key != "managedFields"}
    if form == "local":
        metadata.pop("namespace", None)
        if resource is not None and (resource.get("namespace") or "") != namespace:
            text = "must match metadata.namespace"
            errors.append(fielderrors.invalid("spec.resourceAttributes.namespace", resource.get("namespace") or "", text))
        if path is not None:
            errors.append(fielderrors.invalid("spec.nonResourceAttributes", path, "disallowed on this kind of request"))
    if metadata:
        text = "must be empty except for namespace" if form == "local" else "must be empty"
        errors.append(fielderrors.invalid("metadata", metadata, text))
    return errors


def _user(spec: Obj) -> UserInfo:
    extra = {key: tuple(values) for key, values in (spec.get("extra") or {}).items()}
    return UserInfo(spec.get("user") or "", spec.get("uid") or "", tuple(spec.get("groups") or ()), extra)


def _question(spec: Obj) -> tuple[RequestInfo, list[str]]:
    """What is asked, and which selectors were not understood."""
    path = spec.get("nonResourceAttributes")
    if path is not None:
        return RequestInfo(path.get("verb") or "", path.get("path") or ""), []
    asked = spec["resourceAttributes"]
    by_field, all_fields = selectors.field_text(asked.get("fieldSelector"))
    by_label, all_labels = selectors.label_text(asked.get("labelSelector"))
    misread = []
    for name, found, understood in (("fieldSelector", by_field, all_fields), ("labelSelector", by_label, all_labels)):
        if not understood:
            partly = "partially " if found else ""
            misread.append(f"spec.resourceAttributes.{name} {partly}ignored due to parse error")
    info = RequestInfo(
        asked.get("verb") or "",
        "",
        True,
        asked.get("group") or "",
        asked.get("version") or "*",
        asked.get("namespace") or "",
        asked.get("resource") or "",
        asked.get("subresource") or "",
        asked.get("name") or "",
        field_selector=by_field,
        label_selector=by_label,
    )
    return info, misread


def _selector(errors: list[FieldError], selector: Obj | None, name: str) -> None:
    if selector is None:
        return
    at = f"spec.resourceAttributes.{name}"
    raw, requirements = selector.get("rawSelector"), selector.get("requirements") or ()
    if raw and requirements:
        errors.append(fielderrors.invalid(f"{at}.rawSelector", raw, "may not specified at the same time as requirements"))
    if not raw and not requirements:
        errors.append(
            fielderrors.required(f"{at}.requirements", f"when {at} is specified, requirements or rawSelector is required")
        )
    for index, item in enumerate(requirements):
        where = f"{at}.requirements[{index}]"
        if not item.get("key"):
            errors.append(fielderrors.required(f"{where}.key", "must be specified"))
        elif name == "labelSelector":
            common.complain(errors, f"{where}.key", item["key"], names.qualified_name(item["key"]))
        if item.get("operator") in ("In", "NotIn") and not item.get("values"):
            errors.append(fielderrors.required(f"{where}.values", common.NEEDS_VALUES))
        elif item.get("operator") in ("Exists", "DoesNotExist") and item.get("values"):
            errors.append(fielderrors.forbidden(f"{where}.values", common.NO_VALUES))
