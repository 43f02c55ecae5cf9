"""`kubectl config set` and `unset`: one value, named by a path (`contexts.prod.namespace`)."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from steersman.cli.kubectl.command import Command
from steersman.cli.kubectl.commands.config.names import need_args
from steersman.cli.kubectl.commands.config.store import Store, open_store
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.flags import Flag, Flags

_TEXTS = {
    "clusters": ("server", "tls-server-name", "certificate-authority", "proxy-url"),
    "contexts": ("cluster", "user", "namespace"),
    "users": ("client-certificate", "client-key", "token", "tokenFile", "as", "as-uid", "username", "password"),
}
_BOOLS = {"clusters": ("insecure-skip-tls-verify", "disable-compression"), "contexts": (), "users": ()}
_BYTES = {"clusters": ("certificate-authority-data",), "contexts": (), "users": ("client-certificate-data", "client-key-data")}
_TRUE, _FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")


async def _set(ctx: Context, flags: Flags, args: list[str]) -> int:
    need_args(ctx, SET, args, 2)
    path, value = args
    store = open_store(ctx)
    if path == "current-context":
        store.set_current(value)
    elif path == "preferences.colors":
        store.set_preferences({"colors": _truth(value)})
    else:
        section, name, field = _entry(store, path)
        if not field:
            raise KubectlError(f"can't set a map to a value: {path}")
        content = dict(store.merged().entries[section].get(name) or {})
        content[field] = _typed(section, field, value, path, raw=flags.on("set-raw-bytes"))
        store.put(section, name, content)
    ctx.print(f'Property "{path}" set.')
    return 0


async def _unset(ctx: Context, flags: Flags, args: list[str]) -> int:
    need_args(ctx, UNSET, args, 1)
    path = args[0]
    store = open_store(ctx)
    if path == "current-context":
        store.set_current("")
    elif path in _TEXTS:
        for name in store.merged().entries[path]:
            store.remove(path, name)
    else:
        section, name, field = _entry(store, path)
        known = store.merged().entries[section]
        if field and name not in known:
            raise KubectlError(f"current map key `{name}` is invalid")
        if field:
            content = dict(known[name])
            content.pop(field, None)
            store.put(section, name, content)
        elif name in known:
            store.remove(section, name)
    ctx.print(f'Property "{path}" unset.')
    return 0


def _entry(store: Store, path: str) -> tuple[str, str, str]:
    """Section, name and field. Names may hold dots if they are known."""
    section, _, rest = path.partition(".")
    if section not in _TEXTS or not rest:
        raise KubectlError(f"unable to parse {path} after [] at api.Config")
    known = [name for name in store.merged().entries[section] if rest == name or rest.startswith(f"{name}.")]
    if known:
        name = max(known, key=len)
        return section, name, rest[len(name) + 1 :]
    name, _, field = rest.partition(".")
    return section, name, field


def _typed(section: str, field: str, value: str, path: str, *, raw: bool) -> Any:
    if field in _TEXTS[section]:
        return value
    if field in _BOOLS[section]:
        return _truth(value)
    if field in _BYTES[section]:
        if raw:
            return base64.b64encode(value.encode()).decode()
        try:
            base64.b64decode(value, validate=True)
        except binascii.Error:
            raise KubectlError("error decoding input value: illegal base64 data at input byte 0") from None
        return value
    raise KubectlError(f"unable to parse {path} after [{section}] at api.Config")


def _truth(value: str) -> bool:
    if value not in _TRUE and value not in _FALSE:
        raise KubectlError(f'strconv.ParseBool: parsing "{value}": invalid syntax')
    return value in _TRUE


_ABOUT = (
    "PROPERTY_NAME is a dot delimited name where each token represents either an attribute name or a map key.  "
    "Map keys may not contain dots."
)
SET = Command(
    f"Set an individual value in a kubeconfig file.\n\n {_ABOUT}",
    "config set PROPERTY_NAME PROPERTY_VALUE [options]",
    (
        Flag(
            "set-raw-bytes",
            "bool",
            "When writing a []byte PROPERTY_VALUE, write the given string directly without base64 decoding.",
        ),
    ),
    _set,
)
UNSET = Command(
    f"Unset an individual value in a kubeconfig file.\n\n {_ABOUT}",
    "config unset PROPERTY_NAME [options]",
    run=_unset,
)
