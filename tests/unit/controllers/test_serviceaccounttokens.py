"""Tokens in Secrets: filled in, gone with their account, and those of old that nobody uses marked and then deleted."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.controllers.world import START, World

from steersman.api import accounttokens
from steersman.api.resources import CONFIG_MAPS, PODS, SECRETS, SERVICE_ACCOUNTS
from steersman.controllers.serviceaccounttokens import CLEANER, specs
from steersman.machinery.meta import Obj, annotations_of, format_time, labels_of

DAY_S = 86400.0


class Signer:
    def sign(self, claims: Obj) -> str:
        return json.dumps(claims, sort_keys=True)


def secret(**parts: Any) -> Obj:
    metadata = {"name": "robot-token", "namespace": "default", "annotations": {accounttokens.ACCOUNT: "robot"}}
    return {"type": accounttokens.SECRET_TYPE, **parts, "metadata": {**metadata, **parts.get("metadata", {})}}


def account(**parts: Any) -> Obj:
    return {"metadata": {"name": "robot", "namespace": "default"}, **parts}


def kept(world: World) -> Obj | None:
    world.settle()
    return world.get(SECRETS, "default", "robot-token")


def data(found: Obj | None) -> dict[str, str]:
    assert found is not None
    return {key: base64.b64decode(value).decode() for key, value in (found.get("data") or {}).items()}


def test_a_secret_gets_the_token_of_its_account() -> None:
    world = World(*specs(Signer(), "the CA"))
    robot = world.put(SERVICE_ACCOUNTS, account())
    world.put(SECRETS, secret(data={"extra": base64.b64encode(b"mine").decode()}))
    found = kept(world)
    assert found is not None and annotations_of(found)[accounttokens.ACCOUNT_UID] == robot["metadata"]["uid"]
    said = data(found)
    assert (said["ca.crt"], said["namespace"], said["extra"]) == ("the CA", "default", "mine")
    assert json.loads(said["token"]) == {
        "iss": "kubernetes/serviceaccount",
        "sub": "system:serviceaccount:default:robot",
        "kubernetes.io/serviceaccount/namespace": "default",
        "kubernetes.io/serviceaccount/secret.name": "robot-token",
        "kubernetes.io/serviceaccount/service-account.name": "robot",
        "kubernetes.io/serviceaccount/service-account.uid": robot["metadata"]["uid"],
    }
    writes = len(world.writes)
    world.edit(SERVICE_ACCOUNTS, "robot", lambda found: found["metadata"].update(labels={"a": "b"}))
    assert kept(world) == found and len(world.writes) == writes


def test_a_token_that_is_there_stays_and_what_was_taken_away_is_put_back() -> None:
    world = World(*specs(Signer(), "the CA"))
    world.put(SERVICE_ACCOUNTS, account())
    world.put(SECRETS, secret(data={"token": base64.b64encode(b"given").decode(), "ca.crt": base64.b64encode(b"old").decode()}))
    assert data(kept(world)) == {"token": "given", "ca.crt": "the CA", "namespace": "default"}
    world.edit(SECRETS, "robot-token", lambda found: found["data"].pop("token"))
    assert "kubernetes/serviceaccount" in data(kept(world))["token"]


@pytest.mark.parametrize("again", [False, True])
def test_the_secret_goes_with_its_account_even_if_another_has_the_name(again: bool) -> None:
    world = World(*specs(Signer(), "the CA"))
    world.put(SERVICE_ACCOUNTS, account())
    world.put(SECRETS, secret())
    assert kept(world)
    world.remove(SERVICE_ACCOUNTS, "robot")
    if again:
        world.put(SERVICE_ACCOUNTS, account())
    assert kept(world) is None


def test_a_secret_of_no_account_goes() -> None:
    world = World(*specs(Signer(), "the CA"))
    world.put(SECRETS, secret())
    assert kept(world) is None


class Old(World):
    """A Secret of two years ago that its account lists; uses have been noted for as long."""

    def __init__(self, *, listed: bool = True, since_days: int = 800, **metadata: Any) -> None:
        super().__init__(CLEANER)
        made = format_time(START - timedelta(days=730))
        self.put(SERVICE_ACCOUNTS, account(**({"secrets": [{"name": "robot-token"}]} if listed else {})))
        self.put(SECRETS, secret(metadata={"creationTimestamp": made, **metadata}))
        since = (START - timedelta(days=since_days)).strftime("%Y-%m-%d")
        tracking = {"name": accounttokens.TRACKING, "namespace": accounttokens.TRACKING_NAMESPACE}
        self.put(CONFIG_MAPS, {"metadata": tracking, "data": {"since": since}})

    def marked(self) -> str | None:
        self.tick()
        found = kept(self)
        assert found is not None
        return labels_of(found).get(accounttokens.INVALID_SINCE)


def days_ago(days: int) -> str:
    return (START - timedelta(days=days)).strftime("%Y-%m-%d")


def test_a_year_without_use_makes_it_invalid_and_another_one_deletes_it() -> None:
    world = Old(labels={accounttokens.LAST_USED: days_ago(400)})
    today = START.strftime("%Y-%m-%d")
    assert world.marked() == today
    world.advance(300 * DAY_S)
    assert world.marked() == today
    world.advance(66 * DAY_S)
    assert kept(world) is None


@pytest.mark.parametrize(
    "world",
    [
        Old(labels={accounttokens.LAST_USED: days_ago(300)}),
        Old(listed=False),
        Old(since_days=100),
        Old(creationTimestamp=format_time(START - timedelta(days=200))),
    ],
)
def test_what_was_used_or_made_by_hand_or_not_watched_for_long_stays(world: Old) -> None:
    assert world.marked() is None


def test_what_a_pod_mounts_stays() -> None:
    world = Old()
    volumes = [{"name": "t", "secret": {"secretName": "robot-token"}}]
    world.put(PODS, {"metadata": {"name": "p", "namespace": "default"}, "spec": {"volumes": volumes, "containers": []}})
    assert world.marked() is None
