"""Who a WebhookClientConfig names: URLs as they are, Services by their cluster IP, and the reasons why nobody can be asked."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.webhook import webhook

from steersman.apiserver.hookclient import HookClient, NoAnswer
from steersman.machinery.meta import Obj


class Services:
    """A lister of one Service, n/hook."""

    version = 1

    def __init__(self, **spec: Any) -> None:
        self._found = {"metadata": {"name": "hook", "namespace": "n"}, "spec": spec} if spec else None

    def get(self, namespace: str, name: str) -> Obj | None:
        return self._found if (namespace, name) == ("n", "hook") else None

    def list(self, namespace: str | None = None) -> list[Obj]:
        return [self._found] if self._found is not None else []

    async def settle(self) -> None:
        return None


def _same(services: Services) -> Services:
    return services


def ask(config: Obj, services: Services | None = None) -> Any:
    client = HookClient(lambda: services or Services())
    return asyncio.run(client.post(config, {"asked": 1}, timeout_s=10))


def service(**more: Any) -> Obj:
    return {"service": {"name": "hook", "namespace": "n", "port": 443, **more}}


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({}, 'service "hook" not found'),
        ({"clusterIP": "127.0.0.1", "ports": [{"port": 80}]}, 'no service port 443 found for service "hook"'),
        ({"clusterIP": "None", "ports": [{"port": 443}]}, 'service "hook" has no cluster IP'),
    ],
)
def test_a_service_must_be_there_with_the_port_and_an_address(spec: Obj, why: str) -> None:
    with pytest.raises(NoAnswer, match=why):
        ask(service(), Services(**spec))


def test_a_bundle_must_be_one() -> None:
    with pytest.raises(NoAnswer, match="unable to load root certificates"):
        ask({"url": "https://127.0.0.1:1/", "caBundle": "bm90aGluZw=="})


def test_nobody_there_is_told_with_the_address() -> None:
    with pytest.raises(
        NoAnswer, match=r'Post "https://127\.0\.0\.1:1/x\?timeout=10s": dial tcp 127\.0\.0\.1:1: connect: connection refused'
    ):
        ask({"url": "https://127.0.0.1:1/x"})


def test_a_url_is_asked_and_its_answer_is_json(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with webhook(tmp_path, lambda asked: {"answer": asked["asked"] + 1}) as hook:
            client = HookClient(Services)
            assert await client.post(hook.config, {"asked": 1}, timeout_s=10) == {"answer": 2}
            with pytest.raises(NoAnswer, match="tls: failed to verify certificate: x509: certificate signed by unknown"):
                await client.post({"url": hook.config["url"]}, {}, timeout_s=10)
            with pytest.raises(NoAnswer, match="status 404"):
                await client.post({**hook.config, "url": hook.config["url"] + "x"}, {}, timeout_s=10)
            hook.answering = None
            with pytest.raises(NoAnswer, match="status 500"):
                await client.post(hook.config, {}, timeout_s=10)

    asyncio.run(scenario())


def test_a_service_is_asked_at_its_address_under_its_name(tmp_path: Path) -> None:
    """The certificate must be for the Service: one for the address alone is refused."""

    async def scenario() -> None:
        async with webhook(tmp_path, lambda asked: asked) as hook:
            ports = [{"port": hook.port}]
            config = {**service(port=hook.port, path="/convert"), "caBundle": hook.config["caBundle"]}
            for services in (
                Services(clusterIP="127.0.0.1", ports=ports),
                Services(type="ExternalName", externalName="127.0.0.1"),
            ):
                client = HookClient(partial(_same, services))
                with pytest.raises(NoAnswer, match=r"hook\.n\.svc.*(mismatch|not valid)"):
                    await client.post(config, {}, timeout_s=10)

    asyncio.run(scenario())
