"""What is passed on to nodes and pods, and evictions: webhooks are asked first."""

from __future__ import annotations

from pathlib import Path

import orjson
from tests.fakes.admission import RULE, Hooks, configuration, denied, run
from tests.fakes.server import World, pod

from steersman.machinery.meta import Obj

CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
PODS = "/api/v1/namespaces/default/pods"


async def register(w: World, hooks: Hooks, operation: str, resource: str) -> None:
    rules: list[Obj] = [{**RULE, "operations": [operation], "resources": [resource]}]
    hook = hooks.hook("/a", lambda _: denied("not this one", code=403), rules=rules)
    assert (await w.raw("POST", CONFIGURATIONS, configuration("Validating", "hooks", hook))).status == 201
    await w.raw("POST", PODS, pod())
    await w.server.feed.settle()


def test_a_webhook_can_forbid_to_run_a_command(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        await register(w, hooks, "CONNECT", "pods/exec")
        answer = await w.raw("POST", f"{PODS}/web/exec?command=ls&command=-l&container=c&stdin=true&stdout=false")
        said = 'admission webhook "a.example.com" denied the request: not this one'
        assert (answer.status, orjson.loads(answer.body)["message"]) == (403, said)
        (asked,) = hooks.asked["/a"]
        options = {"kind": "PodExecOptions", "apiVersion": "v1", "command": ["ls", "-l"], "container": "c", "stdin": True}
        assert (asked["operation"], asked["subResource"], asked["name"]) == ("CONNECT", "exec", "web")
        assert (asked["object"], asked["kind"]["kind"]) == (options, "PodExecOptions")
        # Logs are read, nothing is connected.
        assert (await w.raw("GET", f"{PODS}/web/log")).status != 403

    run(tmp_path, scenario)


def test_a_webhook_can_forbid_an_eviction(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        await register(w, hooks, "CREATE", "pods/eviction")
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "web", "namespace": "default"}}
        assert (await w.raw("POST", f"{PODS}/web/eviction", body)).status == 403
        assert hooks.asked["/a"][0]["object"]["kind"] == "Eviction"
        assert (await w.raw("GET", f"{PODS}/web")).status == 200

    run(tmp_path, scenario)
