"""What is passed on to nodes and pods, and evictions: webhooks are asked first."""

from __future__ import annotations

from pathlib import Path

import orjson
from tests.fakes.admission import RULE, Hooks, configuration, denied, patched, run
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


def test_a_webhook_about_a_scale_sees_a_scale_and_changes_it(tmp_path: Path) -> None:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}

    async def scenario(w: World, hooks: Hooks) -> None:
        target = "/apis/apps/v1/namespaces/default/deployments"
        await w.raw("POST", target, deployment)
        fewer = patched({"op": "replace", "path": "/spec/replicas", "value": 2})
        hook = hooks.hook("/a", lambda _: fewer, rules=[{**RULE, "apiGroups": ["apps"], "resources": ["deployments/scale"]}])
        plural = CONFIGURATIONS.replace("validating", "mutating")
        assert (await w.raw("POST", plural, configuration("Mutating", "hooks", hook))).status == 201
        await w.server.feed.settle()
        patch = {"spec": {"replicas": 7}}
        scale = await w.obj("PATCH", f"{target}/web/scale", patch, content_type="application/merge-patch+json")
        assert scale["spec"]["replicas"] == 2
        assert (await w.obj("GET", f"{target}/web"))["spec"]["replicas"] == 2
        (asked,) = hooks.asked["/a"]
        assert asked["kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
        assert (asked["object"]["spec"]["replicas"], asked["oldObject"]["spec"]["replicas"]) == (7, 1)
        assert asked["resource"] == {"group": "apps", "version": "v1", "resource": "deployments"}

    run(tmp_path, scenario)
