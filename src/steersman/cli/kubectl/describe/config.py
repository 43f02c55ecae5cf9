"""ConfigMap, Secret (sizes only, but for tokens of service accounts, as upstream), ServiceAccount."""

from __future__ import annotations

import base64

from steersman.api.resources import SECRETS
from steersman.cli.kubectl.describe.subject import Subject, head, write_events
from steersman.cli.kubectl.describe.writer import Writer
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj, annotations_of, name_of, namespace_of, uid_of

_TOKEN_TYPE, _TOKEN_KEY = "kubernetes.io/service-account-token", "token"
_ACCOUNT_NAME, _ACCOUNT_UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"


async def describe_config_map(subject: Subject, w: Writer) -> None:
    head(w, subject.obj)
    w.write("\nData\n====\n")
    for key, value in sorted((subject.obj.get("data") or {}).items()):
        w.write(f"{key}:\n----\n{value}\n\n")
    w.write("\nBinaryData\n====\n")
    for key, value in sorted((subject.obj.get("binaryData") or {}).items()):
        w.write(f"{key}: {len(base64.b64decode(value))} bytes\n")
    w.write("\n")
    if subject.show_events:
        # Of all kinds this one alone is not described to those who may not see events.
        write_events(w, await subject.events(required=True), subject.now)


async def describe_secret(subject: Subject, w: Writer) -> None:
    secret = subject.obj
    head(w, secret)
    w.write(f"\nType:\t{secret.get('type', '')}\n")
    w.write("\nData\n====\n")
    for key, value in sorted((secret.get("data") or {}).items()):
        content = base64.b64decode(value)
        shown = key == _TOKEN_KEY and secret.get("type") == _TOKEN_TYPE
        w.field(key, content.decode(errors="replace") if shown else f"{len(content)} bytes")


async def describe_service_account(subject: Subject, w: Writer) -> None:
    account = subject.obj
    pull = [item.get("name", "") for item in account.get("imagePullSecrets") or ()]
    mountable = [item.get("name", "") for item in account.get("secrets") or ()]
    try:
        secrets = await subject.items(SECRETS, namespace_of(account))
    except StatusError:
        # Its secrets are told even to those who may not see them; whether they are there is not.
        missing, tokens = set(), []
    else:
        missing = {*pull, *mountable} - {name_of(secret) for secret in secrets}
        tokens = [name_of(secret) for secret in secrets if _is_token(secret, account)]
    head(w, account)
    for title, names in (("Image pull secrets", pull), ("Mountable secrets", mountable), ("Tokens", tokens)):
        width = len("Image pull secrets:")
        before = f"{title}:".ljust(width)
        for name in names or ["<none>"]:
            w.row(before, f"{name} (not found)" if name in missing else name, level=0)
            before = " " * width
    await subject.write_events(w)


def _is_token(secret: Obj, account: Obj) -> bool:
    marks = annotations_of(secret)
    belongs = (marks.get(_ACCOUNT_NAME), marks.get(_ACCOUNT_UID)) == (name_of(account), uid_of(account))
    return secret.get("type") == _TOKEN_TYPE and belongs


DESCRIBERS = {"ConfigMap": describe_config_map, "Secret": describe_secret, "ServiceAccount": describe_service_account}
