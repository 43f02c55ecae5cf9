"""An authorization webhook: somebody else is asked, with a SubjectAccessReview; the answer is remembered for a while.

Source: upstream apiserver/plugin/pkg/authorizer/webhook.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import orjson

from steersman.apiserver.authz import conditions, selectors
from steersman.apiserver.contracts import RequestInfo, UserInfo, Verdict
from steersman.apiserver.outbound import Unreachable
from steersman.apiserver.webhook import Webhook
from steersman.machinery import cel
from steersman.machinery.clock import Clock
from steersman.machinery.errors import InternalError
from steersman.machinery.meta import Obj

log = logging.getLogger(__name__)

_MEMO_LIMIT = 8192
_LARGEST_KEPT = 10_000
"""What is longer than this was made long by somebody: it is not remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    config_file: Path
    version: str = "v1"
    authorized_ttl_s: float = 300.0
    unauthorized_ttl_s: float = 30.0
    timeout_s: float = 30.0
    deny_on_failure: bool = False
    """Whether a webhook that cannot be asked refuses, or has no opinion."""
    conditions: tuple[cel.Program, ...] = ()


class WebhookAuthorizer:
    def __init__(self, settings: WebhookSettings, clock: Clock) -> None:
        """Raises ConfigError."""
        self._settings, self._clock = settings, clock
        self._webhook = Webhook(settings.config_file, clock, timeout_s=settings.timeout_s)
        self._answers: dict[bytes, tuple[tuple[Verdict, str], float]] = {}

    async def authorize(self, user: UserInfo, info: RequestInfo) -> tuple[Verdict, str]:
        """Raises InternalError if nobody could be asked, and that does not mean no."""
        spec = review_spec(user, info)
        try:
            if not conditions.match(self._settings.conditions, spec):
                return Verdict.NO_OPINION, ""
        except conditions.ConditionFault as fault:
            return self._failed(str(fault))
        key = orjson.dumps(spec)
        now_s = self._clock.monotonic()
        known = self._answers.get(key)
        if known is not None and known[1] > now_s:
            return known[0]
        try:
            answer = _verdict(await self._webhook.post(self._review(spec)))
        except Unreachable as fault:
            return self._failed(str(fault))
        ttl_s = self._settings.authorized_ttl_s if answer[0] is Verdict.ALLOW else self._settings.unauthorized_ttl_s
        if ttl_s > 0 and len(key) < _LARGEST_KEPT:
            if len(self._answers) >= _MEMO_LIMIT:
                self._answers.clear()
            self._answers[key] = (answer, self._clock.monotonic() + ttl_s)
        return answer

    def _failed(self, why: str) -> tuple[Verdict, str]:
        log.warning("authorization webhook cannot be asked: error=%s", why)
        if self._settings.deny_on_failure:
            return Verdict.DENY, why
        raise InternalError.of(why)

    def _review(self, spec: Obj) -> Obj:
        version = self._settings.version
        if version == "v1beta1" and "groups" in spec:
            spec = {("group" if key == "groups" else key): value for key, value in spec.items()}
        return {"apiVersion": f"authorization.k8s.io/{version}", "kind": "SubjectAccessReview", "spec": spec}


def review_spec(user: UserInfo, info: RequestInfo) -> Obj:
    """The question as a SubjectAccessReview's spec: what is empty is left out."""
    spec: Obj = {"user": user.name, "uid": user.uid, "groups": list(user.groups)}
    spec["extra"] = {key: list(values) for key, values in user.extra.items()}
    if info.is_resource:
        attributes: Obj = {
            "namespace": info.namespace,
            "verb": info.verb,
            "group": info.group,
            "version": info.version,
            "resource": info.plural,
            "subresource": info.subresource,
            "name": info.name,
        }
        by_field, by_label = selectors.field_requirements(info.field_selector), selectors.label_requirements(info.label_selector)
        attributes["fieldSelector"] = {"requirements": by_field} if by_field else None
        attributes["labelSelector"] = {"requirements": by_label} if by_label else None
        spec["resourceAttributes"] = _filled(attributes)
    else:
        spec["nonResourceAttributes"] = _filled({"path": info.path, "verb": info.verb})
    return _filled(spec)


def _filled(part: Obj) -> Obj:
    return {key: value for key, value in part.items() if value}


def _verdict(review: Obj) -> tuple[Verdict, str]:
    """Raises Unreachable."""
    status = review.get("status") or {}
    allowed, denied, reason = status.get("allowed"), status.get("denied"), str(status.get("reason") or "")
    if allowed and denied:
        raise Unreachable("webhook subject access review returned both allow and deny response")
    return (Verdict.DENY if denied else Verdict.ALLOW if allowed else Verdict.NO_OPINION), reason
