"""ConfigMap kube-system/kube-apiserver-legacy-service-account-token-tracking: since when uses of tokens in Secrets are noted.

Source: upstream controlplane/controller/legacytokentracking. The notes: authn/legacytokens.py; who reads them: controllers/
serviceaccounttokens.py.
"""

from __future__ import annotations

from datetime import datetime

from steersman.api import accounttokens
from steersman.api.resources import CONFIG_MAPS
from steersman.apiserver.hooks.ensure import ensure as ensure_objects
from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj


async def ensure(client: Client, clock: Clock) -> None:
    wanted: Obj = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": accounttokens.TRACKING, "namespace": accounttokens.TRACKING_NAMESPACE},
        "data": {accounttokens.SINCE: clock.now().strftime(accounttokens.DAY)},
    }
    await ensure_objects(client, CONFIG_MAPS, [wanted], merge=_merge)


def _merge(found: Obj, wanted: Obj) -> bool:
    """A day that is told stays."""
    told = (found.get("data") or {}).get(accounttokens.SINCE) or ""
    try:
        datetime.strptime(told, accounttokens.DAY)
    except ValueError:
        found["data"] = {**(found.get("data") or {}), **wanted["data"]}
        return True
    return False
