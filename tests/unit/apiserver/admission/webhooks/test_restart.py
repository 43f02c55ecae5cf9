"""A server that begins with webhooks that nobody serves."""

from __future__ import annotations

import asyncio

from tests.fakes.admission import RULE, configuration, plugins
from tests.fakes.server import config_map, world

from steersman.api.resources import CONFIG_MAPS, NAMESPACES
from steersman.machinery.errors import InternalError
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
            try:
                await w.client.create(CONFIG_MAPS, config_map(), "default")
            except InternalError as fault:
                assert "connection refused" in fault.message
            else:
                raise AssertionError("nobody was asked")
            await w.server.client.create(NAMESPACES, {"metadata": {"name": "own"}})
            await w.server.client.delete(NAMESPACES, "own")

    asyncio.run(scenario())
