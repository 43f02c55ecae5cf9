"""Tokens that let nodes join the cluster: create (and print the command to run there), list, delete. As `kubeadm token`."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import string
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from steersman.api import bootstraptokens
from steersman.api.bootstraptokens import BootstrapToken
from steersman.client.interface import Client
from steersman.client.kubeconfig import KubeconfigError
from steersman.cluster.bootstrapping import NODE_TOKENS
from steersman.cluster.commands.common import add_action, add_state_dir, administered, paths_of
from steersman.cluster.settings import ClusterSettings, Paths, SettingsError
from steersman.machinery import duration
from steersman.machinery.clock import Clock, RealClock
from steersman.machinery.errors import NotFound, StatusError
from steersman.machinery.meta import Obj, format_time

PROBLEMS = (SettingsError, KubeconfigError, StatusError, OSError)
_ALPHABET = string.ascii_lowercase + string.digits
_HEADINGS = ("TOKEN", "TTL", "EXPIRES", "USAGES", "DESCRIPTION", "EXTRA GROUPS")


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = add_action(actions, "create", "make a token and print the command that joins with it")
    create.add_argument("token", nargs="?", default="", help="as in abcdef.0123456789abcdef (default: a random one)")
    help_ = "how long it is valid, 0 for ever (default 24h, with --control-plane 2h)"
    create.add_argument("--ttl", default="", metavar="DURATION", help=help_)
    help_ = "let machines join with an API server of their own: lays the cluster's keys ready, encrypted, for as long"
    create.add_argument("--control-plane", action="store_true", help=help_)
    create.add_argument("--usages", default=",".join(bootstraptokens.USAGES), help="signing, authentication or both")
    create.add_argument("--groups", default=NODE_TOKENS, help="what its holder belongs to")
    create.add_argument("--description", default="")
    listed = add_action(actions, "list", "list the tokens")
    delete = add_action(actions, "delete", "delete tokens, by id or whole")
    delete.add_argument("token", nargs="+")
    add_action(actions, "generate", "print a random token, without making it valid")
    for action in (create, listed, delete):
        add_state_dir(action)
        action.add_argument("--kubeconfig", type=Path, help="another cluster's administrator (default: this machine's)")


def run(args: argparse.Namespace) -> int:
    if args.action == "generate":
        print(random_token().text)
        return 0
    config: Path | None = args.kubeconfig
    if config is None:
        paths = paths_of(args)
        settings = administered(paths)
        config = paths.admin_kubeconfig
        if args.action == "create" and args.control_plane:
            return asyncio.run(_create_for_control_planes(args, paths, settings, RealClock()))
    elif args.action == "create" and args.control_plane:
        raise SettingsError(
            "--control-plane takes the keys of the cluster, which are where its API server is, not in a kubeconfig"
        )
    return asyncio.run(_run(args, config, RealClock()))


async def _create_for_control_planes(args: argparse.Namespace, paths: Paths, settings: ClusterSettings, clock: Clock) -> int:
    from steersman.cluster import controlplane
    from steersman.cluster.process import client_for

    controlplane.check_shareable(settings)
    token = wanted(args, clock.now())
    if token.expires is None:
        raise SettingsError("--ttl 0: a token that opens the cluster's keys has to expire")
    async with client_for(paths.admin_kubeconfig, "token", clock) as client:
        await create(client, token)
        key = await controlplane.offer(client, paths, settings, token.id)
    print(f"{join_command(paths.admin_kubeconfig, token)} --control-plane --certificate-key {key}")
    return 0


async def _run(args: argparse.Namespace, config: Path, clock: Clock) -> int:
    from steersman.cluster.process import client_for

    async with client_for(config, "token", clock) as client:
        if args.action == "create":
            token = wanted(args, clock.now())
            await create(client, token)
            print(join_command(config, token))
        elif args.action == "list":
            print(table(await found(client), clock.now()))
        else:
            for text in args.token:
                print(f'bootstrap token "{await delete(client, text)}" deleted')
    return 0


def random_token() -> BootstrapToken:
    """From the machine's source of secrets."""
    text = "".join(secrets.choice(_ALPHABET) for _ in range(22))
    return BootstrapToken(text[:6], text[6:])


def wanted(args: argparse.Namespace, now: datetime) -> BootstrapToken:
    """The token the command line describes. Raises SettingsError."""
    parts = bootstraptokens.split(args.token or random_token().text)
    if parts is None:
        raise SettingsError(f'{args.token!r} is no token: it must be of the form "abcdef.0123456789abcdef" (a-z, 0-9)')
    usages, groups = _listed(args.usages), _listed(args.groups)
    for usage in usages:
        if usage not in bootstraptokens.USAGES:
            raise SettingsError(f"--usages: {usage!r} is none of {', '.join(bootstraptokens.USAGES)}")
    for group in groups:
        if not bootstraptokens.is_group(group):
            raise SettingsError(f"--groups: {group!r} must begin with system:bootstrappers: and hold a-z, 0-9, - and : only")
    try:
        ttl_s = duration.parse_go(args.ttl or ("2h" if args.control_plane else "24h"))
    except ValueError as error:
        raise SettingsError(f"--ttl: {error}") from None
    if ttl_s < 0:
        raise SettingsError(f"--ttl: {args.ttl} is negative")
    expires = now + timedelta(seconds=ttl_s) if ttl_s else None
    return BootstrapToken(*parts, expires, usages, groups, args.description)


async def create(client: Client, token: BootstrapToken) -> None:
    """Raises AlreadyExists if there is one with this id."""
    from steersman.api.resources import SECRETS

    await client.create(SECRETS, bootstraptokens.to_secret(token))


async def found(client: Client) -> list[BootstrapToken]:
    from steersman.api.resources import SECRETS

    selector = f"type={bootstraptokens.SECRET_TYPE}"
    answer: Obj = await client.list(SECRETS, bootstraptokens.NAMESPACE, field_selector=selector)
    tokens = (bootstraptokens.from_secret({"type": bootstraptokens.SECRET_TYPE, **item}) for item in answer["items"])
    return [token for token in tokens if token is not None]


async def delete(client: Client, text: str) -> str:
    """Gives the id. Raises SettingsError if the text is neither a token nor an id, or there is none."""
    from steersman.api.resources import SECRETS

    parts = bootstraptokens.split(text)
    token_id = parts[0] if parts else text
    if not bootstraptokens.is_id(token_id):
        raise SettingsError(f'{text!r} is neither a token nor the id of one: it must be of the form "abcdef"')
    try:
        await client.delete(SECRETS, bootstraptokens.secret_name(token_id), bootstraptokens.NAMESPACE)
    except NotFound:
        raise SettingsError(f"there is no token {token_id}") from None
    return token_id


def join_command(config: Path, token: BootstrapToken) -> str:
    """What to run on a machine that shall become a node: where the cluster is, the token, and its CA's pin."""
    from urllib.parse import urlsplit

    from steersman.client import kubeconfig
    from steersman.cluster import pki

    connection = kubeconfig.resolve(kubeconfig.read(config))
    if connection.ca is None:
        raise SettingsError(f"{config} names no CA, which joining nodes would have to know")
    ca = connection.ca.read_bytes() if isinstance(connection.ca, Path) else connection.ca
    server = urlsplit(connection.server).netloc
    return f"steersman join {server} --token {token.text} --discovery-token-ca-cert-hash {pki.pin(ca)}"


def table(tokens: Sequence[BootstrapToken], now: datetime) -> str:
    """Columns as kubeadm's."""
    rows = [_HEADINGS, *(_row(token, now) for token in tokens)]
    widths = [max(len(row[column]) for row in rows) + 3 for column in range(len(_HEADINGS))]
    lines = ("".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _row(token: BootstrapToken, now: datetime) -> tuple[str, ...]:
    left, expires = "<forever>", "<never>"
    if token.expires is not None:
        left = "<invalid>" if token.expired(now) else duration.short_human((token.expires - now).total_seconds())
        expires = format_time(token.expires)
    usages = ",".join(sorted(token.usages))
    cells = token.text, left, expires, usages, token.description, ",".join(token.groups)
    return tuple(cell or "<none>" for cell in cells)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
