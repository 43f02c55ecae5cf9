"""Bootstrap tokens: deletes those that have expired, and signs the public kubeconfig with those that may (upstream bootstrap).

What a token is: api/bootstraptokens.py. The ConfigMap kube-public/cluster-info is made by who makes the cluster.
"""

from __future__ import annotations

import copy
from datetime import datetime

from steersman.api import bootstraptokens
from steersman.api.resources import CONFIG_MAPS, SECRETS
from steersman.loop.spec import ControllerSpec, Decision, Delete, Snapshot, Update, Watch
from steersman.machinery.meta import Key, Obj, is_deleting, key_of, name_of, uid_of

_TOKENS = f"type={bootstraptokens.SECRET_TYPE},metadata.namespace={bootstraptokens.NAMESPACE}"
_INFO_KEY: Key = (bootstraptokens.CLUSTER_INFO_NAMESPACE, bootstraptokens.CLUSTER_INFO)
_INFO = f"metadata.namespace={_INFO_KEY[0]},metadata.name={_INFO_KEY[1]}"


def clean(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    """One token's Secret: it goes at the moment it expires."""
    secret = snapshot.get(SECRETS, *key)
    if secret is None or is_deleting(secret):
        return Decision()
    expires = bootstraptokens.expiration(secret)
    if expires is None:
        return Decision()
    left_s = (expires - now).total_seconds()
    if left_s > 0:
        return Decision(again_after_s=left_s)
    return Decision([Delete(SECRETS, key[0], name_of(secret), uid=uid_of(secret))])


def sign(snapshot: Snapshot, _key: Key, now: datetime) -> Decision:
    """cluster-info carries one signature for each token that may sign, and no others."""
    info = snapshot.get(CONFIG_MAPS, *_INFO_KEY)
    if info is None or is_deleting(info):
        return Decision()
    data: Obj = info.get("data") or {}
    content = data.get(bootstraptokens.KUBECONFIG_KEY)
    if not content:
        return Decision()
    secrets = (secret for secret in snapshot.list(SECRETS) if not is_deleting(secret))
    tokens = [token for token in map(bootstraptokens.from_secret, secrets) if token is not None]
    wanted = {name: value for name, value in data.items() if not name.startswith(bootstraptokens.SIGNATURE_PREFIX)}
    wanted |= bootstraptokens.signatures(content, tokens, now)
    if wanted == data:
        return Decision()
    changed = copy.deepcopy(info)
    changed["data"] = wanted
    return Decision([Update(CONFIG_MAPS, changed)])


SPECS: tuple[ControllerSpec, ...] = (
    ControllerSpec(
        name="token-cleaner-controller",
        watches=(Watch(SECRETS, lambda obj: (key_of(obj),), field_selector=_TOKENS),),
        reconcile=clean,
        workers=1,
    ),
    ControllerSpec(
        name="bootstrap-signer-controller",
        watches=(
            Watch(SECRETS, lambda _: (_INFO_KEY,), field_selector=_TOKENS),
            Watch(CONFIG_MAPS, lambda _: (_INFO_KEY,), field_selector=_INFO),
        ),
        reconcile=sign,
        workers=1,
    ),
)
