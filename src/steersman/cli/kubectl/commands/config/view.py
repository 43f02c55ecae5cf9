"""`kubectl config view` and `get-contexts`: the configuration as it is, with secrets left out unless asked for."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from steersman.cli.kubectl import common
from steersman.cli.kubectl.command import Command
from steersman.cli.kubectl.commands.config.store import Kubeconfig, Store, open_store
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, UsageError, raise_all
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.output import PrintOptions, printer
from steersman.cli.kubectl.output.table import layout

_OMITTED = ("certificate-authority-data", "client-certificate-data", "client-key-data")
_REDACTED = ("token", "password")
_EMBEDDED = ("certificate-authority", "client-certificate", "client-key")


async def _view(ctx: Context, flags: Flags, args: list[str]) -> int:
    if args:
        raise UsageError(ctx.command, f"unexpected arguments: [{' '.join(args)}]")
    store = open_store(ctx)
    found = store.merged()
    if flags.text("context"):
        found.current = flags.text("context")
    if flags.on("minify"):
        found = _minified(found)
    if flags.on("flatten"):
        _embed(store, found)
    if not flags.on("raw"):
        _hide(found)
    output = flags.text("output") or "yaml"
    options = PrintOptions(template=flags.text("template"), allow_missing_keys=flags.on("allow-missing-template-keys"))
    if output == "json":
        # Upstream prints a struct here, whose fields have an order of their own.
        ctx.print(json.dumps(_in_order(found), indent=4))
        return 0
    printer(output, options).print(found.document(), ctx.out)
    return 0


def _in_order(found: Kubeconfig) -> dict[str, object]:
    document = found.document()
    order = ("kind", "apiVersion", "preferences", "clusters", "users", "contexts", "current-context")
    return {key: document[key] for key in order}


def _minified(found: Kubeconfig) -> Kubeconfig:
    """The current context and what it needs."""
    if not found.current:
        raise KubectlError("current-context must exist in order to minify")
    context = found.entries["contexts"].get(found.current)
    if context is None:
        raise KubectlError(f"cannot locate context {found.current}")
    made = Kubeconfig(current=found.current, preferences=found.preferences)
    made.entries["contexts"][found.current] = context
    for section, inner in (("clusters", "cluster"), ("users", "user")):
        name = context.get(inner)
        if not name:
            continue
        if name not in found.entries[section]:
            raise KubectlError(f"cannot locate {inner} {name}")
        made.entries[section][name] = found.entries[section][name]
    return made


def _embed(store: Store, found: Kubeconfig) -> None:
    for section in ("clusters", "users"):
        for name, content in found.entries[section].items():
            made = dict(content)
            for key in _EMBEDDED:
                if made.get(key) and not made.get(f"{key}-data"):
                    path = (store.folder_of(section, name) / made[key]).absolute()
                    made[f"{key}-data"] = _encoded(path)
                    del made[key]
            found.entries[section][name] = made


def _encoded(path: Path) -> str:
    try:
        return base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise KubectlError(f"open {path}: {(error.strerror or '').lower()}") from None


def _hide(found: Kubeconfig) -> None:
    for section in ("clusters", "users"):
        for name, content in found.entries[section].items():
            made = dict(content)
            made.update((key, "DATA+OMITTED") for key in _OMITTED if made.get(key))
            made.update((key, "REDACTED") for key in _REDACTED if made.get(key))
            found.entries[section][name] = made


async def _get_contexts(ctx: Context, flags: Flags, args: list[str]) -> int:
    output = flags.text("output")
    if output not in ("", "name"):
        raise KubectlError(
            f"--output {output} is not available in kubectl config get-contexts; resetting to default output format"
        )
    found = open_store(ctx).merged()
    contexts = found.entries["contexts"]
    errors: list[Exception] = [KubectlError(f"context {name} not found") for name in args if name not in contexts]
    names = sorted(name for name in args if name in contexts) if args else sorted(contexts)
    if output == "name":
        for name in names:
            ctx.print(name)
        raise_all(errors)
        return 0
    rows = [] if flags.on("no-headers") else [["CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"]]
    for name in names:
        context = contexts[name]
        mark = "*" if name == found.current else ""
        rows.append([mark, name, *(str(context.get(key) or "") for key in ("cluster", "user", "namespace"))])
    ctx.out.write(layout(rows))
    raise_all(errors)
    return 0


VIEW = Command(
    "Display merged kubeconfig settings or a specified kubeconfig file.",
    "config view [flags] [options]",
    (
        Flag("flatten", "bool", "Flatten the resulting kubeconfig file into self-contained output."),
        Flag("merge", "bool", "Merge the full hierarchy of kubeconfig files", default=True, bare="true"),
        Flag("minify", "bool", "Remove all information not used by current-context from the output"),
        Flag("raw", "bool", "Display raw byte data and sensitive data"),
        *common.PRINTING,
    ),
    _view,
)
GET_CONTEXTS = Command(
    "Display one or many contexts from the kubeconfig file.",
    "config get-contexts [(-o|--output=)name)] [options]",
    (
        Flag("no-headers", "bool", "When using the default or custom-column output format, don't print headers."),
        Flag("output", help="Output format. One of: (name).", short="o"),
    ),
    _get_contexts,
)
