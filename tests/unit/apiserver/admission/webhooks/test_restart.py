"""A server that begins with webhooks that nobody serves, or with a policy that refuses everything."""

from __future__ import annotations

import asyncio

import pytest
from tests.fakes.admission import RULE, configuration, plugins
from tests.fakes.server import Everybody, config_map, world

from steersman.api.resources import CONFIG_MAPS, NAMESPACES
from steersman.apiserver.admission.policies import ValidatingPolicies
from steersman.machinery.errors import InternalError, StatusError
from steersman.machinery.meta import Obj

EVERYTHING: Obj = {**RULE, "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}
GONE: Obj = {
    "name": "gone.example.com",
    "clientConfig": {"url": "https://127.0.0.1:1/"},
    "rules": [EVERYTHING],
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
}


def test_what_the_server_writes_itself_is_refused_by_no_webhook() -> None:
    async def scenario() -> None:
        async with world(plugins=plugins) as w:
            for kind in ("Mutating", "Validating"):
                target = f"/apis/admissionregistration.k8s.io/v1/{kind.lower()}webhookconfigurations"
                assert (await w.raw("POST", target, configuration(kind, "hooks", GONE))).status == 201
            await w.server.feed.settle()
            with pytest.raises(InternalError, match="connection refused"):
                await w.client.create(CONFIG_MAPS, config_map(), "default")
            await w.server.client.create(NAMESPACES, {"metadata": {"name": "own"}})
            await w.server.client.delete(NAMESPACES, "own")

    asyncio.run(scenario())


def test_nor_by_a_policy() -> None:
    rules = {"resourceRules": [EVERYTHING]}
    policy = {"matchConstraints": rules, "validations": [{"expression": "false", "message": "nothing goes"}]}
    binding = {"policyName": "all", "validationActions": ["Deny"]}

    async def scenario() -> None:
        async with world(plugins=lambda listers: [ValidatingPolicies(listers, Everybody())]) as w:
            for kind, spec in (("validatingadmissionpolicies", policy), ("validatingadmissionpolicybindings", binding)):
                target = f"/apis/admissionregistration.k8s.io/v1/{kind}"
                answer = await w.raw("POST", target, {"metadata": {"name": "all"}, "spec": spec})
                assert answer.status == 201, answer.body
            await w.server.feed.settle()
            with pytest.raises(StatusError, match="nothing goes"):
                await w.client.create(CONFIG_MAPS, config_map(), "default")
            await w.server.client.create(NAMESPACES, {"metadata": {"name": "own"}})

    asyncio.run(scenario())
