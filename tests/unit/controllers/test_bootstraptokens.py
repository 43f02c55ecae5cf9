"""Bootstrap tokens over time: when they go, and what cluster-info says of them."""

from __future__ import annotations

from datetime import timedelta

from tests.unit.controllers.world import START, World

from steersman.api import bootstraptokens
from steersman.api.bootstraptokens import BootstrapToken
from steersman.api.resources import CONFIG_MAPS, SECRETS
from steersman.controllers.bootstraptokens import SPECS
from steersman.machinery.meta import Obj

INFO: Obj = {"metadata": {"name": "cluster-info", "namespace": "kube-public"}, "data": {"kubeconfig": "about", "other": "kept"}}


def token(token_id: str, minutes: int | None = None, *usages: str) -> BootstrapToken:
    expires = START + timedelta(minutes=minutes) if minutes is not None else None
    return BootstrapToken(token_id, "0123456789abcdef", expires, usages or bootstraptokens.USAGES)


class Tokens(World):
    def __init__(self, *tokens: BootstrapToken) -> None:
        super().__init__(*SPECS)
        for each in tokens:
            self.put(SECRETS, bootstraptokens.to_secret(each))

    def after(self, minutes: float) -> set[str]:
        """The ids that are left then."""
        self.settle()
        self.advance(minutes * 60)
        self.settle()
        return {secret["metadata"]["name"].removeprefix("bootstrap-token-") for secret in self.list(SECRETS)}

    def signed(self) -> set[str]:
        self.settle()
        data = self.objects[CONFIG_MAPS]["kube-public", "cluster-info"]["data"]
        assert data["kubeconfig"] == "about" and data["other"] == "kept"
        return {key.removeprefix("jws-kubeconfig-") for key in data if key.startswith("jws")}


def test_tokens_go_at_the_moment_they_expire() -> None:
    world = Tokens(token("aaaaaa", 5), token("bbbbbb", 10), token("cccccc"))
    assert world.after(4.9) == {"aaaaaa", "bbbbbb", "cccccc"}
    assert world.after(0.1) == {"bbbbbb", "cccccc"}
    assert world.after(5) == {"cccccc"}
    assert world.after(60 * 24 * 365) == {"cccccc"}


def test_a_token_that_gets_more_time_stays() -> None:
    world = Tokens(token("aaaaaa", 5))
    world.settle()
    longer = bootstraptokens.to_secret(token("aaaaaa", 10))["data"]
    world.edit(SECRETS, "bootstrap-token-aaaaaa", lambda secret: secret.update(data=longer), "kube-system")
    assert world.after(6) == {"aaaaaa"}
    assert world.after(4) == set()


def test_cluster_info_has_a_signature_per_token_that_may_sign() -> None:
    world = Tokens(token("aaaaaa", 5), token("bbbbbb"), token("cccccc", None, "authentication"))
    world.put(CONFIG_MAPS, INFO)
    assert world.signed() == {"aaaaaa", "bbbbbb"}
    world.advance(5 * 60)
    assert world.signed() == {"bbbbbb"}
    writes = len(world.writes)
    world.put(SECRETS, bootstraptokens.to_secret(token("dddddd", None, "authentication")))
    assert world.signed() == {"bbbbbb"} and len(world.writes) == writes


def test_signatures_follow_the_content() -> None:
    world = Tokens(token("aaaaaa"))
    world.put(CONFIG_MAPS, INFO)
    world.settle()

    def move(info: Obj) -> None:
        info["data"]["kubeconfig"] = "elsewhere"

    world.edit(CONFIG_MAPS, "cluster-info", move, "kube-public")
    world.settle()
    data = world.objects[CONFIG_MAPS]["kube-public", "cluster-info"]["data"]
    assert bootstraptokens.verify(data["jws-kubeconfig-aaaaaa"], "elsewhere", "aaaaaa", "0123456789abcdef")
