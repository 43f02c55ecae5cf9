"""Tokens in Secrets of type kubernetes.io/service-account-token: filled in, deleted with their account, and cleaned up unused.

Source: upstream pkg/controller/serviceaccount (tokens_controller, legacy_serviceaccount_token_cleaner). The signing key is the
TokenSigner's, which cluster/ makes. Nobody makes such Secrets unasked any more; those that upstream once did, which their account
lists, are first marked invalid and then deleted when nobody uses them.
"""

from __future__ import annotations

import copy
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from steersman.api import accounttokens, noderefs
from steersman.api.resources import CONFIG_MAPS, PODS, SECRETS, SERVICE_ACCOUNTS
from steersman.loop.spec import ControllerSpec, Decision, Delete, Fetch, Patch, Result, Snapshot, Update, Watch
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Key, Obj, annotations_of, dig, is_deleting, key_of, labels_of, name_of, namespace_of, uid_of

CLEAN_AFTER = timedelta(days=365)
_CLEAN_S = 24 * 3600.0
_ONLY_TOKENS = f"type={accounttokens.SECRET_TYPE}"
_ONLY_TRACKING = f"metadata.namespace={accounttokens.TRACKING_NAMESPACE},metadata.name={accounttokens.TRACKING}"
_INDEX = "account"


class TokenSigner(Protocol):
    """Holds the key of service account tokens."""

    def sign(self, claims: Obj) -> str:
        """A JWT; the same for the same claims."""


def specs(signer: TokenSigner, ca_pem: str) -> tuple[ControllerSpec, ...]:
    return (_filling(signer, ca_pem), CLEANER)


# --- filled in ---------------------------------------------------------------------------------------------------------


def _filling(signer: TokenSigner, ca_pem: str) -> ControllerSpec:
    return ControllerSpec(
        name="serviceaccount-token-controller",
        watches=(
            Watch(SECRETS, lambda obj: (key_of(obj),), field_selector=_ONLY_TOKENS, indexes={_INDEX: _account}),
            Watch(SERVICE_ACCOUNTS, keys_with=_secrets_of),
        ),
        reconcile=_filler(signer, ca_pem),
    )


def _account(secret: Obj) -> Iterable[str]:
    return (f"{namespace_of(secret)}/{annotations_of(secret).get(accounttokens.ACCOUNT) or ''}",)


def _secrets_of(account: Obj, snapshot: Snapshot) -> Iterable[Key]:
    return [key_of(secret) for secret in snapshot.indexed(SECRETS, _INDEX, f"{namespace_of(account)}/{name_of(account)}")]


def _filler(signer: TokenSigner, ca_pem: str) -> Callable[[Snapshot, Key, datetime], Decision]:
    def reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
        secret = snapshot.get(SECRETS, *key)
        name = annotations_of(secret or {}).get(accounttokens.ACCOUNT)
        if secret is None or is_deleting(secret) or not name:
            return Decision()
        account = snapshot.get(SERVICE_ACCOUNTS, key[0], name)
        if account is None or not accounttokens.is_of(secret, account):
            # A token is not given up because a cache is behind.
            return Decision([Fetch(SERVICE_ACCOUNTS, key[0], name)], lambda results: _settled(secret, results))
        changed = _filled(secret, account, signer, ca_pem)
        return Decision([Update(SECRETS, changed)] if changed != secret else [])

    return reconcile


def _settled(secret: Obj, results: Sequence[Result]) -> Decision:
    """The account as it is now: none, or another of that name, takes the Secret with it."""
    found = results[0]
    gone = isinstance(found.error, NotFound) or (found.obj is not None and not accounttokens.is_of(secret, found.obj))
    if not gone:
        return Decision()
    version = dig(secret, "metadata", "resourceVersion", default="")
    return Decision([Delete(SECRETS, namespace_of(secret), name_of(secret), uid=uid_of(secret), resource_version=version)])


def _filled(secret: Obj, account: Obj, signer: TokenSigner, ca_pem: str) -> Obj:
    made = copy.deepcopy(secret)
    data: Obj = made.get("data") or {}
    if ca_pem and b64decode(data.get(accounttokens.CA) or "") != ca_pem.encode():
        data[accounttokens.CA] = _encoded(ca_pem)
    if not data.get(accounttokens.NAMESPACE):
        data[accounttokens.NAMESPACE] = _encoded(namespace_of(secret))
    if not data.get(accounttokens.TOKEN):
        data[accounttokens.TOKEN] = _encoded(signer.sign(accounttokens.claims(account, secret)))
    made["data"] = data
    made["metadata"]["annotations"] = {**annotations_of(secret), accounttokens.ACCOUNT_UID: uid_of(account)}
    return made


def _encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


# --- cleaned up --------------------------------------------------------------------------------------------------------


def _unused(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    """One Secret that its account lists: a year without use makes the token invalid, another year deletes it."""
    secret, early = snapshot.get(SECRETS, *key), now - CLEAN_AFTER
    if secret is None or is_deleting(secret) or not _noted_since(snapshot, early) or not _listed(snapshot, secret):
        return Decision()
    labels = labels_of(secret)
    last = _day(labels.get(accounttokens.LAST_USED), now)
    if str(dig(secret, "metadata", "creationTimestamp")) >= early.strftime("%Y-%m-%dT%H:%M:%SZ") or (last and last >= early):
        return Decision()
    if any(name_of(secret) in noderefs.secrets(pod) for pod in snapshot.list(PODS, key[0])):
        return Decision()
    invalid = _day(labels.get(accounttokens.INVALID_SINCE), now)
    if invalid is None or invalid > now:
        label = {accounttokens.INVALID_SINCE: now.strftime(accounttokens.DAY)}
        version = dig(secret, "metadata", "resourceVersion", default="")
        patch: Obj = {"metadata": {"uid": uid_of(secret), "resourceVersion": version, "labels": label}}
        return Decision([Patch(SECRETS, *key, patch)])
    if invalid >= early:
        return Decision()
    return Decision([Delete(SECRETS, *key, uid=uid_of(secret), resource_version=secret["metadata"]["resourceVersion"])])


def _noted_since(snapshot: Snapshot, early: datetime) -> bool:
    """Whether uses have been noted for long enough to tell that there were none."""
    tracking = snapshot.get(CONFIG_MAPS, accounttokens.TRACKING_NAMESPACE, accounttokens.TRACKING)
    since = _day((dig(tracking, "data", default=None) or {}).get(accounttokens.SINCE), early)
    return since is not None and since <= early


def _listed(snapshot: Snapshot, secret: Obj) -> bool:
    account = snapshot.get(SERVICE_ACCOUNTS, namespace_of(secret), annotations_of(secret).get(accounttokens.ACCOUNT) or "")
    if account is None or not accounttokens.is_of(secret, account):
        return False
    return any(ref.get("name") == name_of(secret) for ref in account.get("secrets") or ())


def _day(text: str | None, like: datetime) -> datetime | None:
    try:
        return datetime.strptime(text or "", accounttokens.DAY).replace(tzinfo=like.tzinfo)
    except ValueError:
        return None


CLEANER = ControllerSpec(
    name="legacy-serviceaccount-token-cleaner-controller",
    watches=(
        Watch(SECRETS, field_selector=_ONLY_TOKENS, indexes={_INDEX: _account}),
        Watch(SERVICE_ACCOUNTS),
        Watch(PODS),
        Watch(CONFIG_MAPS, field_selector=_ONLY_TRACKING),
    ),
    reconcile=_unused,
    workers=1,
    every_s=_CLEAN_S,
    periodic=lambda snapshot: [key_of(secret) for secret in snapshot.list(SECRETS)],
)
