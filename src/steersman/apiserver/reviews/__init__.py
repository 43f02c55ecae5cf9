"""What is answered at once and never stored: reviews, service account tokens, and the OIDC documents about their keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from steersman.api.groups import reviews_v1 as kinds
from steersman.api.kinds import KindSpec
from steersman.api.resources import SERVICE_ACCOUNTS
from steersman.apiserver.authn import Authentication
from steersman.apiserver.authz import Authorization
from steersman.apiserver.contracts import AdmissionPlugin, Call, CallHandler, Listers
from steersman.apiserver.http import Response
from steersman.apiserver.lookup import Lookup
from steersman.apiserver.reviews.access import Access
from steersman.apiserver.reviews.identity import Identity
from steersman.apiserver.reviews.tokenrequest import TokenRequests
from steersman.apiserver.tokens import CONFIGURATION_PATH, JWKS_PATH, TokenAuthority
from steersman.machinery.clock import Clock
from steersman.machinery.errors import MethodNotAllowed

__all__ = ["handlers", "paths"]


def handlers(
    authentication: Authentication,
    authorization: Authorization,
    listers: Listers,
    clock: Clock,
    admission: Sequence[AdmissionPlugin],
) -> Mapping[tuple[str, str, str], CallHandler]:
    """(group, plural, subresource) -> what serves a POST there."""
    identity, access = Identity(authentication, clock), Access(authorization)
    tokens = TokenRequests(authentication.authority, Lookup(listers), clock, admission)
    return {
        _key(kinds.TOKEN_REVIEWS): identity.token_review,
        _key(kinds.SELF_SUBJECT_REVIEWS): identity.self_subject_review,
        _key(kinds.SUBJECT_ACCESS_REVIEWS): access.subject,
        _key(kinds.SELF_SUBJECT_ACCESS_REVIEWS): access.self_subject,
        _key(kinds.LOCAL_SUBJECT_ACCESS_REVIEWS): access.local_subject,
        _key(kinds.SELF_SUBJECT_RULES_REVIEWS): access.self_subject_rules,
        (SERVICE_ACCOUNTS.group, SERVICE_ACCOUNTS.plural, "token"): tokens.create,
    }


def paths(authority: TokenAuthority) -> Mapping[str, CallHandler]:
    """Path -> what serves it (GET)."""
    return {
        CONFIGURATION_PATH: _document(authority.openid_configuration(), "application/json"),
        JWKS_PATH: _document(authority.jwks(), "application/jwk-set+json"),
    }


def _key(spec: KindSpec) -> tuple[str, str, str]:
    return spec.resource.group, spec.resource.plural, ""


def _document(content: bytes, content_type: str) -> CallHandler:
    async def serve(call: Call) -> Response:
        if call.request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed
        return Response(body=content, content_type=content_type, headers={"Cache-Control": "public, max-age=3600"})

    return serve
