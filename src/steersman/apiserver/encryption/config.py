"""The file of --encryption-provider-config (EncryptionConfiguration, apiserver.config.k8s.io/v1): read, checked, made into
transformers. What is wrong is said in upstream's words; secrets of keys are in no message.

Source: upstream apiserver/pkg/apis/apiserver/validation/validation_encryption.go, server/options/encryptionconfig. What is not
here: KMS plugins, which are refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from steersman.apiserver.config import ConfigError
from steersman.apiserver.encryption.ciphers import AESCBC, AESGCMCipher, CipherUnavailable, SecretBox
from steersman.apiserver.encryption.transformer import Identity, Keyed, Provider, Transformer
from steersman.machinery import fielderrors, yamlio
from steersman.machinery.fielderrors import FieldError, invalid, required

API_VERSION, KIND = "apiserver.config.k8s.io/v1", "EncryptionConfiguration"
_AES_SIZES, _BOX_SIZES = (16, 24, 32), (32,)
_NONE_OF_THEM = "provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity"
_TWO_IN_ONE = "more than one provider specified in a single element, should split into different list elements"
_OVERLAP = (
    "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as they will be masked"
)
_EVENTS = "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use 'events' instead in the config file"
_NO_REST = frozenset(("apiserveripinfo", "serviceipallocations", "servicenodeportallocations"))

GroupResource: TypeAlias = tuple[str, str]
"""(group, plural), `*` for all."""
_EVERYTHING: GroupResource = ("*", "*")


class _Key(msgspec.Struct):
    name: str = ""
    secret: str = ""


class _Keys(msgspec.Struct):
    keys: list[_Key] | None = None


class _Provider(msgspec.Struct):
    kms: dict[str, Any] | None = None
    aesgcm: _Keys | None = None
    aescbc: _Keys | None = None
    secretbox: _Keys | None = None
    identity: dict[str, Any] | None = None


class _Resources(msgspec.Struct):
    resources: list[str] | None = None
    providers: list[_Provider] | None = None


class _Configuration(msgspec.Struct):
    kind: str = ""
    apiVersion: str = ""
    resources: list[_Resources] | None = None


@dataclass(frozen=True, slots=True)
class Encryption:
    """What a file says. `digest` tells two contents apart."""

    transformers: Mapping[GroupResource, Transformer]
    digest: str

    def of(self, group: str, plural: str) -> Transformer | None:
        """The resource's; its own entry goes before one for its group, and that before `*.*`."""
        found = self.transformers.get((group, plural)) or self.transformers.get((group, "*"))
        return found or self.transformers.get(_EVERYTHING)


def load(path: Path) -> Encryption:
    """Raises ConfigError: one sentence with all that is wrong."""
    try:
        content = path.read_bytes()
    except OSError as fault:
        raise ConfigError(f'error opening encryption provider configuration file "{path}": {fault.strerror}') from fault
    if not content:
        raise ConfigError(f'encryption provider configuration file "{path}" is empty')
    try:
        return Encryption(_transformers(_decode(content)), hashlib.sha256(content).hexdigest())
    except CipherUnavailable as fault:
        raise ConfigError(f"encryption provider configuration file {path}: {fault}") from fault
    except ValueError as fault:
        raise ConfigError(f"error while parsing encryption provider configuration file {path}: {fault}") from None


def _decode(content: bytes) -> _Configuration:
    """Raises ValueError, for one without a good `kind` too."""
    # Secrets may look like numbers or dates in YAML; those are refused, never repeated.
    try:
        found = msgspec.convert(yamlio.load(content), _Configuration)
    except msgspec.ValidationError as fault:
        raise ValueError(str(fault)) from None
    if (found.kind, found.apiVersion) != (KIND, API_VERSION):
        raise ValueError(
            f'no kind "{found.kind}" is registered for version "{found.apiVersion}", expected {KIND} of {API_VERSION}'
        )
    errors = list(_check(found))
    if errors:
        texts = [str(error) for error in errors]
        raise ValueError(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
    return found


def parse_group_resource(text: str) -> GroupResource:
    """`deployments.apps`, `secrets`, `*.apps`, `*.` (of the core group), `*.*`."""
    plural, _, group = text.partition(".")
    return group, plural


# --- checking ----------------------------------------------------------------------------------------------------------


def _check(found: _Configuration) -> Iterable[FieldError]:
    if not found.resources:
        yield required("resources", "at least one resources is required")
        return
    for at, entry in enumerate(found.resources):
        names, providers = f"resources[{at}].resources", f"resources[{at}].providers"
        if not entry.resources:
            yield required(names, f"at least one {names} is required")
        yield from _check_overlap(entry.resources or [], names)
        for number, name in enumerate(entry.resources or ()):
            if complaint := _complaint(name):
                yield invalid(f"{names}[{number}]", name, complaint)
        if not entry.providers:
            yield required(providers, f"at least one {providers} is required")
        for number, provider in enumerate(entry.providers or ()):
            yield from _check_provider(provider, f"{providers}[{number}]")


def _check_overlap(names: Sequence[str], path: str) -> Iterable[FieldError]:
    found = [parse_group_resource(name) for name in names]
    if len(set(found)) < len(found):
        yield invalid(path, names, "the same resource cannot be specified multiple times")
    unique = set(found)
    groups = [group for group, _ in unique]
    whole = {group for group, plural in unique if plural == "*"}
    if (_EVERYTHING in unique and len(unique) > 1) or any(groups.count(group) > 1 for group in whole):
        yield invalid(path, names, _OVERLAP)


def _complaint(name: str) -> str:
    """What is wrong with the name of a resource, empty if nothing is."""
    group, plural = parse_group_resource(name)
    if name != name.lower():
        return "resource name should not contain capital letters"
    if name == "*":
        return "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources"
    if name in _NO_REST:
        return "resources which do not have REST API/s cannot be encrypted"
    if group == "events.k8s.io":
        return _EVENTS
    if group == "extensions":
        return "'extensions' group has been removed and cannot be used for encryption"
    if group == "*" and plural != "*":
        return "encrypting the same resource across groups is not supported"
    return ""


def _check_provider(provider: _Provider, path: str) -> Iterable[FieldError]:
    given = [getattr(provider, name) is not None for name in provider.__struct_fields__]
    if not any(given):
        yield invalid(path, {}, _NONE_OF_THEM)
    elif sum(given) > 1:
        yield invalid(path, "REDACTED", _TWO_IN_ONE)
    elif provider.kms is not None:
        yield fielderrors.forbidden(f"{path}.kms", "KMS plugins are not supported here: use aesgcm, secretbox or aescbc")
    for name, keys, sizes in (
        ("aesgcm", provider.aesgcm, _AES_SIZES),
        ("aescbc", provider.aescbc, _AES_SIZES),
        ("secretbox", provider.secretbox, _BOX_SIZES),
    ):
        if keys is not None:
            yield from _check_keys(keys, f"{path}.{name}.keys", sizes)


def _check_keys(keys: _Keys, path: str, sizes: Sequence[int]) -> Iterable[FieldError]:
    if not keys.keys:
        yield required(path, "at least one keys is required")
    for at, key in enumerate(keys.keys or ()):
        if not key.name:
            yield required(f"{path}[{at}].name", "name is a mandatory field for a key")
        if not key.secret:
            yield required(f"{path}[{at}].secret", "secret is a mandatory field for a key")
            continue
        try:
            size = len(_secret(key))
        except binascii.Error:
            yield invalid(f"{path}[{at}].secret", "REDACTED", "secrets must be base64 encoded")
            continue
        if size not in sizes:
            listed = " ".join(str(allowed) for allowed in sizes)
            why = f"secret is not of the expected length, got {size}, expected one of [{listed}]"
            yield invalid(f"{path}[{at}].secret", "REDACTED", why)


def _secret(key: _Key) -> bytes:
    return base64.b64decode(key.secret.replace("\n", "").replace("\r", "").encode(), validate=True)


# --- making ------------------------------------------------------------------------------------------------------------


def _transformers(found: _Configuration) -> dict[GroupResource, Transformer]:
    """Entries for the same resource add up. Raises ValueError for one that an earlier wildcard hides, CipherUnavailable."""
    providers: dict[GroupResource, list[Provider]] = {}
    for entry in found.resources or ():
        made = [_provider(provider) for provider in entry.providers or ()]
        for name in entry.resources or ():
            resource = parse_group_resource(name)
            for wildcard in ((resource[0], "*"), _EVERYTHING):
                if wildcard in providers:
                    raise ValueError(f'resource "{_text(resource)}" is masked by earlier rule "{_text(wildcard)}"')
            providers.setdefault(resource, []).extend(made)
    return {resource: Transformer(listed) for resource, listed in providers.items()}


def _text(resource: GroupResource) -> str:
    group, plural = resource
    return f"{plural}.{group}" if group else plural


def _provider(provider: _Provider) -> Provider:
    for name, keys, cipher, family in (
        ("aesgcm", provider.aesgcm, AESGCMCipher, "AES"),
        ("aescbc", provider.aescbc, AESCBC, "AES"),
        ("secretbox", provider.secretbox, SecretBox, "Secretbox"),
    ):
        if keys is not None:
            made = tuple((key.name, cipher(_secret(key))) for key in keys.keys or ())
            return Keyed(f"k8s:enc:{name}:v1:".encode(), family, made)
    return Identity()
