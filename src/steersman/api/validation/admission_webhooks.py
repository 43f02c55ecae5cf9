"""Validation of webhook configurations (upstream pkg/apis/admissionregistration/validation/validation.go).

Rules that came later are waived on update for an object that broke them before; conditions that did not change are not compiled.
"""

from __future__ import annotations

from functools import partial
from urllib.parse import urlsplit

from steersman.api.validation import admission_rules as rules
from steersman.api.validation.admission_expressions import Compiler, webhook_condition
from steersman.api.validation.common import Errors, complain, needs, one_of, port
from steersman.machinery import names
from steersman.machinery.fielderrors import FieldError, duplicate, invalid, required
from steersman.machinery.meta import Obj

_REVIEWS = ("v1", "v1beta1")
_SIDE_EFFECTS = ("None", "NoneOnDryRun")
_ANY_SIDE_EFFECTS = (*_SIDE_EFFECTS, "Some", "Unknown")
_REINVOCATION = ("IfNeeded", "Never")
_URL_FORM = "desired format: https://host[/path]"


def validate_validating(obj: Obj) -> list[FieldError]:
    return _configuration(obj, None, mutating=False)


def validate_mutating(obj: Obj) -> list[FieldError]:
    return _configuration(obj, None, mutating=True)


def validate_validating_update(new: Obj, old: Obj) -> list[FieldError]:
    return _configuration(new, old, mutating=False)


def validate_mutating_update(new: Obj, old: Obj) -> list[FieldError]:
    return _configuration(new, old, mutating=True)


def warnings(new: Obj, old: Obj | None) -> list[str]:
    """Names that are set apart for configurations in files."""
    named = str((new.get("metadata") or {}).get("name", ""))
    if not named.endswith(".static.k8s.io"):
        return []
    return [f'metadata.name: names ending with ".static.k8s.io" are reserved for configurations from manifests: "{named}"']


def _configuration(obj: Obj, old: Obj | None, *, mutating: bool) -> list[FieldError]:
    errors: Errors = []
    before = [] if old is None else list(old.get("webhooks") or ())
    known = {item.get("expression") for hook in before for item in hook.get("matchConditions") or ()}
    check = partial(webhook_condition, known=known)
    hooks = list(obj.get("webhooks") or ())
    seen: set[str] = set()
    unique_before = len({hook.get("name") for hook in before}) == len(before)
    for index, hook in enumerate(hooks):
        path = f"webhooks[{index}]"
        _hook(errors, path, hook, strict=_strictness(before), check=check)
        if mutating:
            one_of(errors, f"{path}.reinvocationPolicy", hook.get("reinvocationPolicy"), _REINVOCATION)
        name = hook.get("name") or ""
        if unique_before and name in seen:
            errors.append(duplicate(f"{path}.name", name))
        seen.add(name)
    return errors


class _Strict:
    """Which of the younger rules hold: those that the stored object keeps."""

    def __init__(self, before: list[Obj]) -> None:
        self.side_effects = all(hook.get("sideEffects") in _SIDE_EFFECTS for hook in before)
        self.reviews = all(set(hook.get("admissionReviewVersions") or ()) & set(_REVIEWS) for hook in before)


def _strictness(before: list[Obj]) -> _Strict:
    return _Strict(before)


def _hook(errors: Errors, path: str, hook: Obj, *, strict: _Strict, check: Compiler) -> None:
    name = hook.get("name") or ""
    if needs(errors, f"{path}.name", name):
        complain(errors, f"{path}.name", name, names.dns1123_subdomain(name))
        if len(name.split(".")) < 3:
            text = "should be a domain with at least three segments separated by dots"
            errors.append(invalid(f"{path}.name", name, text))
    _reviews(errors, f"{path}.admissionReviewVersions", hook.get("admissionReviewVersions") or [], strict.reviews)
    for index, rule in enumerate(hook.get("rules") or ()):
        rules.rule(errors, f"{path}.rules[{index}]", rule)
    one_of(errors, f"{path}.failurePolicy", hook.get("failurePolicy"), rules.FAILURE_POLICIES)
    _side_effects(errors, f"{path}.sideEffects", hook.get("sideEffects"), strict.side_effects)
    timeout_s = hook.get("timeoutSeconds")
    if timeout_s is not None and not 1 <= timeout_s <= 30:
        text = "the timeout value must be between 1 and 30 seconds"
        errors.append(invalid(f"{path}.timeoutSeconds", timeout_s, text))
    rules.selectors(errors, path, hook)
    client_config(errors, f"{path}.clientConfig", hook.get("clientConfig") or {})
    rules.conditions(errors, f"{path}.matchConditions", hook.get("matchConditions"))
    for index, item in enumerate(hook.get("matchConditions") or ()):
        check(errors, f"{path}.matchConditions[{index}].expression", item.get("expression") or "")


def _side_effects(errors: Errors, path: str, value: str | None, strict: bool) -> None:
    if value is None:
        errors.append(required(path, f"must specify one of {', '.join(_SIDE_EFFECTS)}"))
    else:
        one_of(errors, path, value, _SIDE_EFFECTS if strict else _ANY_SIDE_EFFECTS, optional=False)


def _reviews(errors: Errors, path: str, versions: list[str], strict: bool) -> None:
    if not versions:
        errors.append(required(path, f"must specify one of {', '.join(_REVIEWS)}"))
        return
    seen: set[str] = set()
    for index, version in enumerate(versions):
        if version in seen:
            errors.append(invalid(f"{path}[{index}]", version, "duplicate version"))
            continue
        seen.add(version)
        complain(errors, f"{path}[{index}]", version, names.dns1035_label(version))
    if strict and not seen.intersection(_REVIEWS):
        errors.append(invalid(path, versions, f"must include at least one of {', '.join(_REVIEWS)}"))


def client_config(errors: Errors, path: str, client: Obj) -> None:
    """Where a webhook is: exactly one of a URL and a Service."""
    url, service = client.get("url"), client.get("service")
    if (url is None) == (service is None):
        errors.append(required(path, "exactly one of url or service is required"))
    elif url is not None:
        _url(errors, f"{path}.url", url)
    else:
        assert service is not None
        _service(errors, f"{path}.service", service)


def _url(errors: Errors, path: str, url: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError as fault:
        errors.append(required(path, f"url must be a valid URL: {fault}; {_URL_FORM}"))
        return
    if parts.scheme != "https":
        text = f"'https' is the only allowed URL scheme; {_URL_FORM}"
        errors.append(invalid(path, parts.scheme, text))
    host = parts.netloc.rpartition("@")[2]
    if not host:
        errors.append(invalid(path, host, f"host must be specified; {_URL_FORM}"))
    if "@" in parts.netloc:
        errors.append(invalid(path, parts.netloc.rpartition("@")[0], "user information is not permitted in the URL"))
    if parts.fragment:
        errors.append(invalid(path, parts.fragment, "fragments are not permitted in the URL"))
    if parts.query:
        errors.append(invalid(path, parts.query, "query parameters are not permitted in the URL"))


def _service(errors: Errors, path: str, service: Obj) -> None:
    needs(errors, f"{path}.name", service.get("name"), "service name is required")
    needs(errors, f"{path}.namespace", service.get("namespace"), "service namespace is required")
    number = service.get("port")
    if number is not None:
        port(errors, f"{path}.port", number)
    where = service.get("path")
    if where is None:
        return
    if not where.startswith("/"):
        text = "must start with a '/'"
        errors.append(invalid(f"{path}.path", where, text))
        return
    if where == "/":
        return
    for index, step in enumerate(where[1:].removesuffix("/").split("/")):
        if not step:
            errors.append(invalid(f"{path}.path", where, f"segment[{index}] may not be empty"))
        else:
            for text in names.dns1123_subdomain(step):
                errors.append(invalid(f"{path}.path", where, f"segment[{index}]: {text}"))
