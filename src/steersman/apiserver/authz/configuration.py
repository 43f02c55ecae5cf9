"""Which authorizers a server has: by flags, or by an AuthorizationConfiguration (KEP-3221). Pure but for looking at files.

Source: upstream pkg/kubeapiserver/{options,authorizer}, apiserver/pkg/apis/apiserver/validation. Errors in upstream's words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steersman.apiserver.access import AuthorizationSettings
from steersman.apiserver.authz import conditions
from steersman.apiserver.authz.webhook import WebhookSettings
from steersman.apiserver.config import ConfigError
from steersman.apiserver.configfile import known_fields, objects, read_kind, text
from steersman.machinery import cel, duration, fielderrors, names
from steersman.machinery.fielderrors import FieldError
from steersman.machinery.meta import Obj

VERSIONS = tuple(f"apiserver.config.k8s.io/{version}" for version in ("v1", "v1beta1", "v1alpha1"))
NODE, RBAC, WEBHOOK, ALWAYS_ALLOW, ALWAYS_DENY = "Node", "RBAC", "Webhook", "AlwaysAllow", "AlwaysDeny"
MODES = (ALWAYS_ALLOW, ALWAYS_DENY, NODE, RBAC, WEBHOOK)
_MOST_CONDITIONS = 64
Errors = list[FieldError]


@dataclass(frozen=True, slots=True)
class Entry:
    """One authorizer. webhook: of the mode Webhook."""

    mode: str
    name: str = ""
    webhook: WebhookSettings | None = None


def load(settings: AuthorizationSettings) -> tuple[Entry, ...]:
    """Raises ConfigError, OSError."""
    if settings.config_file is None:
        return _of_flags(settings)
    if settings.webhook_config_file is not None or settings.modes != AuthorizationSettings().modes:
        raise ConfigError(
            "--authorization-config can not be specified when --authorization-mode or --authorization-webhook-* flags are"
        )
    document = read_kind(settings.config_file, "AuthorizationConfiguration", VERSIONS)
    try:
        return of_document(document)
    except ConfigError as fault:
        raise ConfigError(f"{settings.config_file}: {fault}") from fault


def _of_flags(settings: AuthorizationSettings) -> tuple[Entry, ...]:
    if not settings.modes:
        raise ConfigError("at least one authorization-mode must be passed")
    for index, mode in enumerate(settings.modes):
        if mode not in MODES:
            raise ConfigError(f'authorization-mode "{mode}" is not a valid mode')
        if mode in settings.modes[:index]:
            raise ConfigError(f"authorization-mode {list(settings.modes)} has mode specified more than once".replace("'", '"'))
    file = settings.webhook_config_file
    if WEBHOOK in settings.modes and file is None:
        raise ConfigError("authorization-mode Webhook's authorization config file not passed")
    if WEBHOOK not in settings.modes and file is not None:
        raise ConfigError("cannot specify --authorization-webhook-config-file without mode Webhook")
    webhook = None
    if file is not None:
        webhook = WebhookSettings(
            config_file=file,
            version=settings.webhook_version,
            authorized_ttl_s=settings.webhook_authorized_ttl_s,
            unauthorized_ttl_s=settings.webhook_unauthorized_ttl_s,
        )
    return tuple(Entry(mode, mode.lower(), webhook if mode == WEBHOOK else None) for mode in settings.modes)


def of_document(document: Obj) -> tuple[Entry, ...]:
    """Raises ConfigError."""
    known_fields(document, "", ("apiVersion", "kind", "authorizers"))
    items = objects(document.get("authorizers"), "authorizers")
    errors: Errors = []
    if not items:
        errors.append(fielderrors.required("authorizers", "at least one authorization mode must be defined"))
    entries: list[Entry] = []
    for index, item in enumerate(items):
        entry = _entry(item, f"authorizers[{index}]", entries, errors)
        if entry is not None:
            entries.append(entry)
    if errors:
        told = [str(error) for error in errors]
        raise ConfigError(told[0] if len(told) == 1 else f"[{', '.join(told)}]")
    return tuple(entries)


def _entry(item: Obj, at: str, before: Sequence[Entry], errors: Errors) -> Entry | None:
    known_fields(item, at, ("type", "name", "webhook"))
    mode, name = text(item.get("type"), f"{at}.type"), text(item.get("name"), f"{at}.name")
    if not mode:
        errors.append(fielderrors.required(f"{at}.type"))
    elif mode not in MODES:
        errors.append(fielderrors.not_supported(f"{at}.type", mode, MODES))
    elif mode != WEBHOOK and any(entry.mode == mode for entry in before):
        errors.append(fielderrors.duplicate(f"{at}.type", mode))
    else:
        _check_name(name, f"{at}.name", before, errors)
        if mode == WEBHOOK and item.get("webhook") is None:
            errors.append(fielderrors.required(f"{at}.webhook", "required when type=Webhook"))
        elif mode == WEBHOOK:
            return Entry(mode, name, _webhook(item["webhook"], f"{at}.webhook", errors))
        elif item.get("webhook") is not None:
            errors.append(fielderrors.invalid(f"{at}.webhook", "non-null", "may only be specified when type=Webhook"))
        return Entry(mode, name)
    return None


def _check_name(name: str, at: str, before: Sequence[Entry], errors: Errors) -> None:
    wrong = names.dns1123_subdomain(name)
    if not name:
        errors.append(fielderrors.required(at))
    elif any(entry.name == name for entry in before):
        errors.append(fielderrors.duplicate(at, name))
    elif wrong:
        errors.append(fielderrors.invalid(at, name, f"authorizer name is invalid: {', '.join(wrong)}"))


_WEBHOOK_FIELDS = (
    "timeout", "authorizedTTL", "cacheAuthorizedRequests", "unauthorizedTTL", "cacheUnauthorizedRequests",
    "subjectAccessReviewVersion", "matchConditionSubjectAccessReviewVersion", "failurePolicy", "connectionInfo",
    "matchConditions",
)  # fmt: skip


def _webhook(part: object, at: str, errors: Errors) -> WebhookSettings:
    given = known_fields(part, at, _WEBHOOK_FIELDS)
    timeout_s = _seconds(given, "timeout", at, errors, default="")
    if timeout_s is not None and not 0 < timeout_s <= 30:
        errors.append(fielderrors.invalid(f"{at}.timeout", given.get("timeout"), "must be > 0s and <= 30s"))
    ttls = []
    for key, default in (("authorizedTTL", "5m"), ("unauthorizedTTL", "30s")):
        ttl_s = _seconds(given, key, at, errors, default=default)
        if ttl_s is not None and ttl_s <= 0:
            errors.append(fielderrors.invalid(f"{at}.{key}", given.get(key), "must be > 0s"))
        cached = given.get(f"cache{key[0].upper()}{key[1:].removesuffix('TTL')}Requests")
        ttls.append((ttl_s or 0.0) if cached is not False else 0.0)
    version, policy = given.get("subjectAccessReviewVersion"), given.get("failurePolicy")
    _choice(version, f"{at}.subjectAccessReviewVersion", ("v1", "v1beta1"), errors)
    _choice(policy, f"{at}.failurePolicy", ("NoOpinion", "Deny"), errors)
    found = _conditions(given, at, errors)
    return WebhookSettings(
        config_file=_connection(given.get("connectionInfo"), f"{at}.connectionInfo", errors),
        version=str(version or "v1"),
        authorized_ttl_s=ttls[0],
        unauthorized_ttl_s=ttls[1],
        timeout_s=timeout_s or 30.0,
        deny_on_failure=policy == "Deny",
        conditions=found,
    )


def _conditions(given: Obj, at: str, errors: Errors) -> tuple[cel.Program, ...]:
    items = objects(given.get("matchConditions"), f"{at}.matchConditions")
    version = given.get("matchConditionSubjectAccessReviewVersion")
    where = f"{at}.matchConditionSubjectAccessReviewVersion"
    if items and not version:
        errors.append(fielderrors.required(where, "required if match conditions are specified"))
    elif version not in (None, "", "v1"):
        errors.append(fielderrors.not_supported(where, version, ("v1",)))
    if len(items) > _MOST_CONDITIONS:
        errors.append(fielderrors.too_many(f"{at}.matchConditions", len(items), _MOST_CONDITIONS))
        return ()
    found: dict[str, cel.Program] = {}
    for index, item in enumerate(items):
        where = f"{at}.matchConditions[{index}]"
        known_fields(item, where, ("expression",))
        source = text(item.get("expression"), f"{where}.expression")
        if not source.strip():
            errors.append(fielderrors.required(f"{where}.expression"))
        elif source in found:
            errors.append(fielderrors.duplicate(f"{where}.expression", source))
        else:
            try:
                found[source] = conditions.compiled(source)
            except conditions.ConditionFault as fault:
                errors.append(fielderrors.invalid(f"{where}.expression", source, str(fault)))
    return tuple(found.values())


def _connection(part: object, at: str, errors: Errors) -> Path:
    given = known_fields(part, at, ("type", "kubeConfigFile"))
    file = text(given.get("kubeConfigFile"), f"{at}.kubeConfigFile")
    kind = given.get("type")
    if not kind:
        errors.append(fielderrors.required(f"{at}.type"))
    elif kind == "InClusterConfig":
        why = "the server has no account in a cluster; name a kubeconfig"
        errors.append(fielderrors.invalid(f"{at}.type", kind, why))
    elif kind != "KubeConfigFile":
        errors.append(fielderrors.not_supported(f"{at}.type", kind, ("InClusterConfig", "KubeConfigFile")))
    elif not file:
        errors.append(fielderrors.required(f"{at}.kubeConfigFile"))
    elif not Path(file).is_absolute():
        errors.append(fielderrors.invalid(f"{at}.kubeConfigFile", file, "must be an absolute path"))
    elif not Path(file).is_file():
        errors.append(fielderrors.invalid(f"{at}.kubeConfigFile", file, "must be a regular file"))
    return Path(file)


def _choice(value: object, at: str, choices: Sequence[str], errors: Errors) -> None:
    if not value:
        errors.append(fielderrors.required(at))
    elif value not in choices:
        errors.append(fielderrors.not_supported(at, value, choices))


def _seconds(given: Obj, key: str, at: str, errors: Errors, *, default: str) -> float | None:
    said = text(given.get(key), f"{at}.{key}") or default
    if not said:
        errors.append(fielderrors.required(f"{at}.{key}"))
        return None
    try:
        return duration.parse_go(said)
    except ValueError as fault:
        errors.append(fielderrors.invalid(f"{at}.{key}", said, str(fault)))
        return None
