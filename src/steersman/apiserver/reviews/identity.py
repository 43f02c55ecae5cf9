"""Who is it: TokenReview (somebody's token) and SelfSubjectReview (the caller).

Source: upstream pkg/registry/authentication/{tokenreview,selfsubjectreview}.
"""

from __future__ import annotations

from steersman.api.groups.reviews_v1 import SELF_SUBJECT_REVIEWS, TOKEN_REVIEWS
from steersman.apiserver.authn import UNKNOWN, Authentication
from steersman.apiserver.contracts import Call, UserInfo
from steersman.apiserver.http import Response
from steersman.apiserver.reviews import body
from steersman.apiserver.tokens import InvalidToken
from steersman.machinery.clock import Clock
from steersman.machinery.errors import BadRequest
from steersman.machinery.meta import Obj, format_time, metadata


class Identity:
    """CallHandlers."""

    def __init__(self, authentication: Authentication, clock: Clock) -> None:
        self._authentication, self._clock = authentication, clock

    async def token_review(self, call: Call) -> Response:
        review, warnings = await body.read(call, TOKEN_REVIEWS)
        spec = review.get("spec") or {}
        if not spec.get("token"):
            raise BadRequest("token is required for TokenReview in authentication")
        audiences = tuple(spec.get("audiences") or self._authentication.audiences)
        try:
            verified = await self._authentication.review(spec["token"], audiences)
        except InvalidToken as error:
            review["status"] = {"user": {}, "error": _told(str(error))}
        else:
            user = user_info(verified.user)
            review["status"] = {"authenticated": True, "user": user, "audiences": list(verified.audiences)}
        return body.answer(call, review, warnings)

    async def self_subject_review(self, call: Call) -> Response:
        review, warnings = await body.read(call, SELF_SUBJECT_REVIEWS)
        metadata(review)["creationTimestamp"] = format_time(self._clock.now())
        review["status"] = {"userInfo": user_info(call.user)}
        return body.answer(call, review, warnings)


def _told(fault: str) -> str:
    """Upstream asks for its own loopback token first, which says that it knows of none; equal texts are told once."""
    return (
        fault
        if fault == UNKNOWN
        else f"[{UNKNOWN}, {fault.removeprefix('[').removesuffix(']') if fault.startswith('[') else fault}]"
    )


def user_info(user: UserInfo) -> Obj:
    """authentication.k8s.io/v1 UserInfo."""
    made: Obj = {"username": user.name}
    if user.uid:
        made["uid"] = user.uid
    if user.groups:
        made["groups"] = list(user.groups)
    if user.extra:
        made["extra"] = {key: list(values) for key, values in user.extra.items()}
    return made
