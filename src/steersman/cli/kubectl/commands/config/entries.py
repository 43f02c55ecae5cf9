"""`kubectl config set-cluster`, `set-context`, `set-credentials`: make an entry, or change fields of one."""

from __future__ import annotations

import base64
from pathlib import Path

from steersman.cli.kubectl.command import Command
from steersman.cli.kubectl.commands.config.names import need_args
from steersman.cli.kubectl.commands.config.store import open_store
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.machinery.meta import Obj


async def _set_cluster(ctx: Context, flags: Flags, args: list[str]) -> int:
    need_args(ctx, SET_CLUSTER, args, 1)
    authority, insecure = flags.text("certificate-authority"), flags.on("insecure-skip-tls-verify")
    if insecure and authority:
        raise KubectlError("you cannot specify a certificate authority and insecure mode at the same time")
    store = open_store(ctx)
    made = dict(store.merged().entries["clusters"].get(args[0]) or {})
    _take(made, flags, "server", "tls-server-name", "proxy-url")
    if flags.changed("insecure-skip-tls-verify"):
        made["insecure-skip-tls-verify"] = insecure
        if insecure:
            made.pop("certificate-authority", None)
            made.pop("certificate-authority-data", None)
    if flags.changed("certificate-authority"):
        _certificate(made, flags, "certificate-authority")
        made.pop("insecure-skip-tls-verify", None)
    store.put("clusters", args[0], made)
    ctx.print(f'Cluster "{args[0]}" set.')
    return 0


async def _set_context(ctx: Context, flags: Flags, args: list[str]) -> int:
    if flags.on("current") and args:
        raise KubectlError("you cannot specify both a context name and --current")
    if not flags.on("current") and not args:
        raise KubectlError("you must specify a non-empty context name or --current")
    if len(args) > 1:
        need_args(ctx, SET_CONTEXT, args, 1)
    store = open_store(ctx)
    found = store.merged()
    name = found.current if flags.on("current") else args[0]
    if not name:
        raise KubectlError("no current context is set")
    known = name in found.entries["contexts"]
    made = dict(found.entries["contexts"].get(name) or {})
    _take(made, flags, "cluster", "user", "namespace")
    store.put("contexts", name, made)
    ctx.print(f'Context "{name}" {"modified" if known else "created"}.')
    return 0


async def _set_credentials(ctx: Context, flags: Flags, args: list[str]) -> int:
    need_args(ctx, SET_CREDENTIALS, args, 1, "unexpected")
    methods = [
        name
        for name, used in (
            ("--token", flags.text("token")),
            ("--username/--password", flags.text("username") or flags.text("password")),
        )
        if used
    ]
    if len(methods) > 1:
        listed = ", ".join(methods)
        raise KubectlError(f"you cannot specify more than one authentication method at the same time: {listed}")
    if flags.on("embed-certs") and not (flags.text("client-certificate") or flags.text("client-key")):
        raise KubectlError("you must specify a --client-certificate or --client-key to embed")
    store = open_store(ctx)
    made = dict(store.merged().entries["users"].get(args[0]) or {})
    for field in ("client-certificate", "client-key"):
        if flags.changed(field):
            _certificate(made, flags, field)
    _take(made, flags, "token", "username", "password")
    if flags.changed("token") and flags.text("token"):
        made.pop("username", None)
        made.pop("password", None)
    elif flags.text("username") or flags.text("password"):
        made.pop("token", None)
        made.pop("tokenFile", None)
    _auth_provider(made, flags)
    _exec_plugin(made, flags)
    store.put("users", args[0], made)
    ctx.print(f'User "{args[0]}" set.')
    return 0


def _take(made: Obj, flags: Flags, *names: str) -> None:
    for name in names:
        if flags.changed(name):
            made[name] = flags.text(name)


def _certificate(made: Obj, flags: Flags, field: str) -> None:
    """A file by its path, or its content with --embed-certs; the other of the two goes."""
    path = flags.text(field)
    if path and flags.on("embed-certs"):
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            why = f"stat {path}: {(error.strerror or '').lower()}"
            raise KubectlError(f"could not stat {field} file {path}: {why}") from None
        made[f"{field}-data"] = base64.b64encode(data).decode()
        made.pop(field, None)
        return
    made[field] = str(Path(path).absolute()) if path else ""
    if path:
        made.pop(f"{field}-data", None)


def _auth_provider(made: Obj, flags: Flags) -> None:
    if flags.changed("auth-provider"):
        made["auth-provider"] = {"name": flags.text("auth-provider"), "config": (made.get("auth-provider") or {}).get("config")}
    if flags.changed("auth-provider-arg") and made.get("auth-provider"):
        config = dict(made["auth-provider"].get("config") or {})
        _amend(config, flags.texts("auth-provider-arg"), "auth-provider-arg")
        made["auth-provider"] = {**made["auth-provider"], "config": config}


def _exec_plugin(made: Obj, flags: Flags) -> None:
    given = [name for name in _EXEC_FLAGS if flags.changed(name)]
    if not given:
        return
    plugin = dict(made.get("exec") or {})
    for flag, key in _EXEC_TEXTS.items():
        if flag in given:
            plugin[key] = flags.text(flag)
    if "exec-provide-cluster-info" in given:
        plugin["provideClusterInfo"] = flags.on("exec-provide-cluster-info")
    if "exec-arg" in given:
        plugin["args"] = flags.texts("exec-arg")
    if "exec-env" in given:
        env = {item["name"]: item["value"] for item in plugin.get("env") or ()}
        _amend(env, flags.texts("exec-env"), "exec-env")
        plugin["env"] = [{"name": name, "value": value} for name, value in env.items()]
    made["exec"] = plugin


def _amend(values: dict[str, str], changes: list[str], flag: str) -> None:
    """`key=value` sets, `key-` removes."""
    for change in changes:
        key, equals, value = change.partition("=")
        if equals:
            values[key] = value
        elif change.endswith("-"):
            values.pop(change[:-1], None)
        else:
            raise KubectlError(f"invalid {flag} format: {change}")


_EXEC_TEXTS = {"exec-command": "command", "exec-api-version": "apiVersion", "exec-interactive-mode": "interactiveMode"}
_EXEC_FLAGS = (
    "exec-command", "exec-api-version", "exec-arg", "exec-env", "exec-interactive-mode", "exec-provide-cluster-info",
)  # fmt: skip

# These stand for fields of the entry here, and hide the global flags of the same names.
SET_CLUSTER = Command(
    "Set a cluster entry in kubeconfig.\n\n Specifying a name that already exists will merge new fields on top of existing "
    "values for those fields.",
    "config set-cluster NAME [--server=server] [--certificate-authority=path/to/certificate/authority] "
    "[--insecure-skip-tls-verify=true] [--tls-server-name=example.com] [options]",
    (
        Flag("certificate-authority", help="Path to certificate-authority file for the cluster entry in kubeconfig"),
        Flag("embed-certs", "bool", "embed-certs for the cluster entry in kubeconfig"),
        Flag("insecure-skip-tls-verify", "bool", "insecure-skip-tls-verify for the cluster entry in kubeconfig"),
        Flag("proxy-url", help="proxy-url for the cluster entry in kubeconfig"),
        Flag("server", help="server for the cluster entry in kubeconfig"),
        Flag("tls-server-name", help="tls-server-name for the cluster entry in kubeconfig"),
    ),
    _set_cluster,
)
SET_CONTEXT = Command(
    "Set a context entry in kubeconfig.\n\n Specifying a name that already exists will merge new fields on top of existing "
    "values for those fields.",
    "config set-context [NAME | --current] [--cluster=cluster_nickname] [--user=user_nickname] [--namespace=namespace] [options]",
    (
        Flag("cluster", help="cluster for the context entry in kubeconfig"),
        Flag("current", "bool", "Modify the current context"),
        Flag("namespace", help="namespace for the context entry in kubeconfig", short="n"),
        Flag("user", help="user for the context entry in kubeconfig"),
    ),
    _set_context,
)
SET_CREDENTIALS = Command(
    "Set a user entry in kubeconfig.\n\n Specifying a name that already exists will merge new fields on top of existing values.",
    "config set-credentials NAME [--client-certificate=path/to/certfile] [--client-key=path/to/keyfile] [--token=bearer_token] "
    "[--username=basic_user] [--password=basic_password] [--auth-provider=provider_name] [--auth-provider-arg=key=value] "
    "[--exec-command=exec_command] [--exec-api-version=exec_api_version] [--exec-arg=arg] [--exec-env=key=value] [options]",
    (
        Flag("auth-provider", help="Auth provider for the user entry in kubeconfig"),
        Flag("auth-provider-arg", "strings", "'key=value' arguments for the auth provider"),
        Flag("client-certificate", help="Path to client-certificate file for the user entry in kubeconfig"),
        Flag("client-key", help="Path to client-key file for the user entry in kubeconfig"),
        Flag("embed-certs", "bool", "Embed client cert/key for the user entry in kubeconfig"),
        Flag("exec-api-version", help="API version of the exec credential plugin for the user entry in kubeconfig"),
        Flag("exec-arg", "array", "New arguments for the exec credential plugin command for the user entry in kubeconfig"),
        Flag("exec-command", help="Command for the exec credential plugin for the user entry in kubeconfig"),
        Flag("exec-env", "array", "'key=value' environment values for the exec credential plugin"),
        Flag("exec-interactive-mode", help="InteractiveMode of the exec credentials plugin for the user entry in kubeconfig"),
        Flag("exec-provide-cluster-info", "bool", "ProvideClusterInfo of the exec credentials plugin for the user entry"),
        Flag("password", help="password for the user entry in kubeconfig"),
        Flag("token", help="token for the user entry in kubeconfig"),
        Flag("username", help="username for the user entry in kubeconfig"),
    ),
    _set_credentials,
)
