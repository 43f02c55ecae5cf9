"""Validation of CustomResourceDefinitions (upstream pkg/apis/apiextensions/validation/validation.go).

What concerns one version is in apiextensions_versions.py. Checks that the stored definition fails already are waived on update.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from steersman.api.customresources.status import APPROVAL, approval_of
from steersman.api.validation import apiextensions_versions as versions
from steersman.api.validation.common import Errors, complain, immutable, needs, one_of, unique
from steersman.machinery import names
from steersman.machinery.fielderrors import FieldError, forbidden, invalid, required
from steersman.machinery.meta import Obj, annotations_of, is_condition_true, name_of

_KIND_TEXT = "may have mixed case, but should otherwise match: "
_PRESERVE_KEY = "x-kubernetes-preserve-unknown-fields"
_PRESERVE = f"cannot set to true, set {_PRESERVE_KEY} to true in spec.versions[*].schema instead"
_GONE = (
    "missing from spec.versions; {0} was previously a storage version, and must remain in spec.versions until a storage "
    "migration ensures no data remains persisted in {0} and removes {0} from status.storedVersions"
)
_REVIEWS = ("v1", "v1beta1")
_URL_FORM = "desired format: https://host[/path]"


def validate(obj: Obj) -> list[FieldError]:
    """A new definition."""
    errors: Errors = []
    spec = obj["spec"]
    wanted = f"{(spec.get('names') or {}).get('plural', '')}.{spec.get('group', '')}"
    if name_of(obj) != wanted:
        errors.append(invalid("metadata.name", name_of(obj), 'must be spec.names.plural+"."+spec.group'))
    errors += _spec(obj)
    errors += _approval(obj)
    errors += _stored_versions(obj)
    return errors


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    _kept_names(errors, new, old)
    waived = {(error.path, error.detail) for error in _spec(old)}
    errors += [error for error in _spec(new) if (error.path, error.detail) not in waived]
    if annotations_of(new).get(APPROVAL) != annotations_of(old).get(APPROVAL) and not _approval(old):
        errors += _approval(new)
    errors += _stored_versions(new)
    return errors


def _kept_names(errors: Errors, new: Obj, old: Obj) -> None:
    spec, stored = new["spec"], old["spec"]
    immutable(errors, "spec.group", spec.get("group"), stored.get("group"))
    immutable(errors, "spec.names.plural", spec["names"].get("plural"), stored["names"].get("plural"))
    if is_condition_true(old, "Established"):
        immutable(errors, "spec.scope", spec.get("scope"), stored.get("scope"))
        immutable(errors, "spec.names.kind", spec["names"].get("kind"), stored["names"].get("kind"))


def validate_status_update(new: Obj, _old: Obj) -> list[FieldError]:
    errors: Errors = []
    accepted = (new.get("status") or {}).get("acceptedNames")
    if accepted and (accepted.get("plural") or accepted.get("kind")):
        _names(errors, "status.acceptedNames", accepted)
    errors += _stored_versions(new)
    return errors


def _spec(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    spec = obj["spec"]
    group = spec.get("group") or ""
    if needs(errors, "spec.group", group):
        complain(errors, "spec.group", group, names.dns1123_subdomain(group))
        if "." not in group:
            errors.append(invalid("spec.group", group, "should be a domain with at least one dot"))
    one_of(errors, "spec.scope", spec.get("scope"), ("Cluster", "Namespaced"), optional=False)
    if spec.get("preserveUnknownFields"):
        errors.append(invalid("spec.preserveUnknownFields", True, _PRESERVE))
    found = spec.get("versions") or []
    seen: set[Any] = set()
    for index, version in enumerate(found):
        complain(errors, f"spec.versions[{index}].name", version["name"], names.dns1035_label(version["name"]))
        seen.add(version["name"])
    if len(seen) != len(found):
        errors.append(invalid("spec.versions", found, "must contain unique version names"))
    if sum(bool(version.get("storage")) for version in found) != 1:
        errors.append(invalid("spec.versions", found, "must have exactly one version marked as storage version"))
    errors += versions.validate(found)
    _names(errors, "spec.names", spec.get("names") or {})
    _conversion(errors, spec.get("conversion") or {})
    return errors


def _names(errors: Errors, path: str, found: Obj) -> None:
    for key in ("plural", "singular", "kind", "listKind"):
        value = found.get(key) or ""
        if not needs(errors, f"{path}.{key}", value):
            continue
        if key in ("plural", "singular"):
            complain(errors, f"{path}.{key}", value, names.dns1035_label(value))
        else:
            texts = names.dns1035_label(value.lower())
            complain(errors, f"{path}.{key}", value, [_KIND_TEXT + ",".join(texts)] if texts else [])
    for key in ("shortNames", "categories"):
        for index, value in enumerate(found.get(key) or ()):
            complain(errors, f"{path}.{key}[{index}]", value, names.dns1035_label(value))
    if found.get("kind") and found.get("kind") == found.get("listKind"):
        errors.append(invalid(f"{path}.listKind", found["listKind"], "kind and listKind may not be the same"))


def _conversion(errors: Errors, conversion: Obj) -> None:
    path, webhook = "spec.conversion", conversion.get("webhook") or {}
    strategy, client, reviews = conversion.get("strategy"), webhook.get("clientConfig"), webhook.get("conversionReviewVersions")
    one_of(errors, f"{path}.strategy", strategy, ("None", "Webhook"), optional=False)
    if strategy != "Webhook":
        text = "should not be set when strategy is not set to Webhook"
        if client:
            errors.append(forbidden(f"{path}.webhookClientConfig", text))
        if reviews:
            errors.append(forbidden(f"{path}.conversionReviewVersions", text))
        return
    if not client:
        errors.append(required(f"{path}.webhookClientConfig", "required when strategy is set to Webhook"))
    else:
        _client_config(errors, f"{path}.webhookClientConfig", client)
    if not reviews:
        errors.append(required(f"{path}.conversionReviewVersions"))
        return
    at, seen = f"{path}.conversionReviewVersions", set[Any]()
    for index, version in enumerate(reviews):
        if unique(errors, f"{at}[{index}]", version, seen):
            complain(errors, f"{at}[{index}]", version, names.dns1035_label(version))
    if not any(version in _REVIEWS for version in reviews):
        errors.append(invalid(at, reviews, f"must include at least one of {', '.join(_REVIEWS)}"))


def _client_config(errors: Errors, path: str, client: Obj) -> None:
    url, service = client.get("url"), client.get("service")
    if (url is None) == (service is None):
        errors.append(required(path, "exactly one of url or service is required"))
    elif service is None:
        parts = urlsplit(url or "")
        if parts.scheme != "https":
            errors.append(
                invalid(
                    f"{path}.url", parts.scheme, "'https' is the only allowed URL scheme; desired format: https://host[/path]"
                )
            )
        if not parts.netloc:
            errors.append(invalid(f"{path}.url", parts.netloc, f"host must be specified; {_URL_FORM}"))
    else:
        needs(errors, f"{path}.service.name", service.get("name"), "service name is required")
        needs(errors, f"{path}.service.namespace", service.get("namespace"), "service namespace is required")


def _approval(obj: Obj) -> list[FieldError]:
    """Groups of the Kubernetes project want an annotation that somebody has agreed."""
    found = approval_of(obj)
    if found is None or found[1] in ("ApprovedAnnotation", "UnapprovedAnnotation"):
        return []
    path = f"metadata.annotations[{APPROVAL}]"
    if found[1] == "MissingAnnotation":
        return [required(path, found[2])]
    return [invalid(path, annotations_of(obj).get(APPROVAL), found[2])]


def _stored_versions(obj: Obj) -> list[FieldError]:
    path, errors = "status.storedVersions", list[FieldError]()
    stored = (obj.get("status") or {}).get("storedVersions") or []
    if not stored:
        return [invalid(path, stored, "must have at least one stored version")]
    known = {version["name"] for version in obj["spec"].get("versions") or ()}
    for index, name in enumerate(stored):
        if name not in known:
            errors.append(invalid(f"{path}[{index}]", name, _GONE.format(name)))
    for version in obj["spec"].get("versions") or ():
        if version.get("storage") and version["name"] not in stored:
            text = f"must have the storage version {version['name']}"
            errors.append(invalid(path, stored, text))
    return errors
