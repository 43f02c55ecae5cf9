"""OpenAPI of paths that are no resources: discovery's, /version, and what others verify service account tokens with.

Each has a document of its own, named by its path: `api`, `apis`, `apis/apps`, `version` … (but that of a group-version is in the
document of its resources). Upstream shows all of them with a slash at the end.
"""

from __future__ import annotations

from steersman.apiserver.openapi.schemas import META, REF
from steersman.machinery.meta import Obj

_TYPES = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
_JSON = ("application/json",)
_INFO = "io.k8s.apimachinery.pkg.version.Info"
RESOURCES = f"{META}APIResourceList"

_FIXED: dict[str, tuple[str, str, str, str, tuple[str, ...]]] = {
    "api": ("core", "getCoreAPIVersions", "get available API versions", f"{META}APIVersions", _TYPES),
    "apis": ("apis", "getAPIVersions", "get available API versions", f"{META}APIGroupList", _TYPES),
    "version": ("version", "getCodeVersion", "get the version information for this server", _INFO, _JSON),
    ".well-known/openid-configuration": (
        "WellKnown",
        "getServiceAccountIssuerOpenIDConfiguration",
        "get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'",
        "",
        _JSON,
    ),
    "openid/v1/jwks": (
        "openid",
        "getServiceAccountIssuerOpenIDKeyset",
        "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)",
        "",
        ("application/jwk-set+json",),
    ),
}
PATHS = tuple(_FIXED)
"""Those that every server has."""


def named(group: str) -> str:
    """
    >>> named("rbac.authorization.k8s.io"), named("apps"), named("")
    ('rbacAuthorization', 'apps', 'core')
    """
    words = group.removesuffix(".k8s.io").split(".") if group else ["core"]
    return words[0] + "".join(word[:1].upper() + word[1:] for word in words[1:])


def _title(name: str) -> str:
    return name[:1].upper() + name[1:]


def of(path: str) -> tuple[Obj, list[str]]:
    """The paths of a document of PATHS, or `apis/<group>`, and the definitions they refer to."""
    if path in _FIXED:
        tag, operation_id, text, schema, types = _FIXED[path]
    else:
        tag = named(path.removeprefix("apis/"))
        operation_id, text = f"get{_title(tag)}APIGroup", "get information of a group"
        schema, types = f"{META}APIGroup", _TYPES
    return {f"/{path}/": _get(tag, operation_id, text, schema, types)}, [schema] if schema else []


def of_version(group: str, version: str) -> Obj:
    """The paths of what a group-version says of its resources."""
    tag = named(group)
    path = f"/apis/{group}/{version}/" if group else f"/api/{version}/"
    operation_id = f"get{_title(tag)}{_title(version)}APIResources"
    return {path: _get(f"{tag}_{version}", operation_id, "get available resources", RESOURCES, _TYPES)}


def _get(tag: str, operation_id: str, text: str, schema: str, types: tuple[str, ...]) -> Obj:
    body: Obj = {"$ref": REF + schema} if schema else {"type": "string"}
    content = {media_type: {"schema": body} for media_type in types}
    responses = {"200": {"description": "OK", "content": content}, "401": {"description": "Unauthorized"}}
    return {"get": {"description": text, "operationId": operation_id, "tags": [tag], "responses": responses}}
