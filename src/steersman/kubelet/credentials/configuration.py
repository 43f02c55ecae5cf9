"""CredentialProviderConfig: which plugins the node has, and for which images. Reads files; says what is wrong in one line.

Source: KEP-2133, KEP-4412 (service account tokens); upstream pkg/credentialprovider/plugin/config.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steersman.kubelet.credentials.keyring import split
from steersman.machinery import duration, yamlio
from steersman.machinery.meta import Obj

KIND, API_VERSIONS = "CredentialProviderConfig", tuple(f"kubelet.config.k8s.io/{each}" for each in ("v1", "v1beta1", "v1alpha1"))
V1 = "credentialprovider.kubelet.k8s.io/v1"
PLUGIN_VERSIONS = (V1, "credentialprovider.kubelet.k8s.io/v1beta1", "credentialprovider.kubelet.k8s.io/v1alpha1")
_SUFFIXES = (".json", ".yaml", ".yml")
_FIELDS: Mapping[str, type] = {
    "name": str, "matchImages": list, "defaultCacheDuration": str, "apiVersion": str, "args": list, "env": list,
    "tokenAttributes": dict,
}  # fmt: skip
_TOKEN_FIELDS: Mapping[str, type] = {
    "serviceAccountTokenAudience": str, "cacheType": str, "requireServiceAccount": bool,
    "requiredServiceAccountAnnotationKeys": list, "optionalServiceAccountAnnotationKeys": list,
}  # fmt: skip
_CACHE_TYPES = ("ServiceAccount", "Token")
_TYPE_NAMES = {str: "a string", list: "a list", dict: "an object", bool: "true or false"}
_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


class BadProviders(ValueError):
    """A configuration of credential providers that can't be used."""


@dataclass(frozen=True, slots=True)
class TokenAttributes:
    """What a plugin is told of the pod's service account."""

    audience: str
    cache_type: str
    required: bool
    required_keys: tuple[str, ...] = ()
    optional_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Provider:
    """One plugin. `program`: its path."""

    name: str
    program: str
    api_version: str
    match_images: tuple[str, ...]
    default_cache_s: float
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    token: TokenAttributes | None = None


def load(path: Path, programs: Path) -> tuple[Provider, ...]:
    """The providers of a file, or of all files of a directory in the order of their names; their programs are in `programs`.
    Raises BadProviders."""
    try:
        return _load(path, programs)
    except (ValueError, OSError) as error:
        why = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else error
        raise BadProviders(f"image credential providers: {path}: {why}") from None


def _load(path: Path, programs: Path) -> tuple[Provider, ...]:
    if not programs.is_dir():
        raise ValueError(f"plugin binary directory {programs} did not exist")
    files = sorted(each for each in path.iterdir() if each.suffix in _SUFFIXES and each.is_file()) if path.is_dir() else [path]
    if not files:
        raise ValueError("no configuration files found in the directory")
    listed = [item for file in files for item in _file(file)]
    problems = list(_problems(listed))
    if problems:
        raise ValueError(problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]")
    for item in listed:
        if not (programs / item["name"]).is_file():
            raise ValueError(f"plugin binary executable {programs / item['name']} did not exist")
    return tuple(_provider(item, programs) for item in listed)


def _file(path: Path) -> list[Any]:
    doubled: list[str] = []
    found = yamlio.load(path.read_bytes(), doubled)
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} is not an object")
    if found.get("kind") != KIND:
        raise ValueError(f'failed to decode: unexpected kind "{found.get("kind", "")}", it must be {KIND}')
    if found.get("apiVersion") not in API_VERSIONS:
        raise ValueError(f'failed to decode: no kind "{KIND}" is registered for version "{found.get("apiVersion", "")}"')
    unknown = [f'unknown field "{key}"' for key in found if key not in ("kind", "apiVersion", "providers")]
    providers = found.get("providers") or []
    if not isinstance(providers, list):
        raise ValueError("providers: must be a list")
    for index, item in enumerate(providers):
        unknown += _types(item, _FIELDS, f"providers[{index}]")
        if item.get("tokenAttributes") is not None:
            unknown += _types(item["tokenAttributes"], _TOKEN_FIELDS, f"providers[{index}].tokenAttributes")
    if unknown or doubled:
        raise ValueError(f"strict decoding error: {', '.join(unknown + doubled)}")
    return providers


def _types(item: Any, fields: Mapping[str, type], where: str) -> list[str]:
    """The unknown fields. Raises ValueError for one of another type."""
    if not isinstance(item, dict):
        raise ValueError(f"{where}: must be an object")
    for key, value in item.items():
        wanted = fields.get(key)
        if wanted is not None and value is not None and not isinstance(value, wanted):
            raise ValueError(f"{where}.{key}: must be {_TYPE_NAMES[wanted]}")
        if wanted is list and key != "env" and not all(isinstance(each, str) for each in value or ()):
            raise ValueError(f"{where}.{key}: must be a list of strings")
        if key == "env":
            for number, each in enumerate(value or ()):
                _variable(each, f"{where}.env[{number}]")
    return [f'unknown field "{where}.{key}"' for key in item if key not in fields]


def _variable(item: Any, where: str) -> None:
    if not isinstance(item, dict) or not all(isinstance(item.get(key), str) for key in ("name", "value")):
        raise ValueError(f"{where}: must have name and value, both strings")


def _problems(listed: list[Obj]) -> Iterator[str]:
    if not listed:
        yield "providers: Required value: at least 1 item in plugins is required"
    seen: set[str] = set()
    for item in listed:
        name = item.get("name") or ""
        if not name or name in (".", "..") or "/" in name or " " in name:
            why = "cannot be empty, '.' or '..', nor contain '/' or spaces"
            yield f'providers.name: Invalid value: "{name}": provider name {why}'
        if name in seen:
            yield f'providers.name: Duplicate value: "{name}"'
        seen.add(name)
        yield from _of_plugin(item)
        if item.get("tokenAttributes") is not None:
            yield from _of_token(item["tokenAttributes"], item.get("apiVersion"))


def _of_plugin(item: Obj) -> Iterator[str]:
    version = item.get("apiVersion")
    if not version:
        yield "providers.apiVersion: Required value"
    elif version not in PLUGIN_VERSIONS:
        supported = ", ".join(f'"{each}"' for each in PLUGIN_VERSIONS)
        yield f'providers.apiVersion: Unsupported value: "{version}": supported values: {supported}'
    if not item.get("matchImages"):
        yield "providers.matchImages: Required value: at least 1 item in matchImages is required"
    for place in item.get("matchImages") or ():
        try:
            split(place)
        except ValueError as error:
            yield f'providers.matchImages: Invalid value: "{place}": match image is invalid: {error}'
    text = item.get("defaultCacheDuration")
    if text is None:
        yield "providers.defaultCacheDuration: Required value"
        return
    try:
        if duration.parse_go(text) < 0:
            yield f'providers.defaultCacheDuration: Invalid value: "{text}": must be greater than or equal to 0'
    except ValueError as error:
        yield f'providers.defaultCacheDuration: Invalid value: "{text}": {error}'


def _of_token(item: Obj, version: object) -> Iterator[str]:
    where = "providers.tokenAttributes"
    if version in PLUGIN_VERSIONS and version != V1:
        yield f"{where}: Forbidden: tokenAttributes is only supported for {V1} API version"
    if not item.get("serviceAccountTokenAudience"):
        yield f"{where}.serviceAccountTokenAudience: Required value"
    if item.get("requireServiceAccount") is None:
        yield f"{where}.requireServiceAccount: Required value"
    cache_type = item.get("cacheType")
    if not cache_type:
        yield f"{where}.cacheType: Required value"
    elif cache_type not in _CACHE_TYPES:
        yield f'{where}.cacheType: Unsupported value: "{cache_type}": supported values: "ServiceAccount", "Token"'
    required, optional = (item.get(f"{each}ServiceAccountAnnotationKeys") or [] for each in ("required", "optional"))
    if required and item.get("requireServiceAccount") is False:
        text = "requireServiceAccount cannot be false when requiredServiceAccountAnnotationKeys is set"
        yield f"{where}.requiredServiceAccountAnnotationKeys: Forbidden: {text}"
    for key in [*required, *optional]:
        if not _KEY.fullmatch(key):
            yield f'{where}: Invalid value: "{key}": is no name of an annotation'
    for key in sorted({key for key in [*required, *optional] if [*required, *optional].count(key) > 1}):
        yield f'{where}: Duplicate value: "{key}"'


def _provider(item: Obj, programs: Path) -> Provider:
    token = item.get("tokenAttributes")
    return Provider(
        name=item["name"],
        program=str((programs / item["name"]).absolute()),
        api_version=item["apiVersion"],
        match_images=tuple(item["matchImages"]),
        default_cache_s=duration.parse_go(item["defaultCacheDuration"]),
        args=tuple(item.get("args") or ()),
        env=tuple((each["name"], each["value"]) for each in item.get("env") or ()),
        token=None
        if token is None
        else TokenAttributes(
            token["serviceAccountTokenAudience"],
            token["cacheType"],
            token["requireServiceAccount"],
            tuple(token.get("requiredServiceAccountAnnotationKeys") or ()),
            tuple(token.get("optionalServiceAccountAnnotationKeys") or ()),
        ),
    )
