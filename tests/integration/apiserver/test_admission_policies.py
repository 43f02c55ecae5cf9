"""Admission policies on a whole server: RBAC answers what they ask, the audit log has what they note, the status what is odd."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.fakes.server import config

from steersman.api.groups.admissionregistration_v1 import (
    MUTATING_POLICIES,
    MUTATING_POLICY_BINDINGS,
    VALIDATING_POLICIES,
    VALIDATING_POLICY_BINDINGS,
)
from steersman.api.resources import CLUSTER_ROLE_BINDINGS, CONFIG_MAPS, DEPLOYMENTS
from steersman.apiserver import local
from steersman.apiserver.audit.settings import AuditSettings
from steersman.apiserver.contracts import UserInfo
from steersman.apiserver.run import APIServer
from steersman.client.rest import RestClient
from steersman.cluster import pki
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.machinery.clock import RealClock
from steersman.machinery.errors import Forbidden, Invalid
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, dig
from steersman.store.memory import MemoryStore

CLOCK = RealClock()
AUDIT_POLICY = "kind: Policy\napiVersion: audit.k8s.io/v1\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n"


@dataclass
class World:
    server: APIServer
    log: Path

    @property
    def admin(self) -> RestClient:
        return self.acting("admin", "system:masters")

    def acting(self, name: str, *groups: str) -> RestClient:
        user = UserInfo(name, groups=(*groups, "system:authenticated"))
        return RestClient(local.transport(self.server.pipeline.acting_as(user)), user_agent="tests")

    async def enforce(self, sorts: tuple[Resource, Resource], policy: Obj, **binding: Any) -> None:
        specs = (policy, {"policyName": "p", **binding})
        for resource, spec in zip(sorts, specs):
            await self.admin.create(resource, {"metadata": {"name": "p"}, "spec": spec})
            await self.admin.get(resource, "p")


@asynccontextmanager
async def world(directory: Path) -> AsyncIterator[World]:
    paths = Paths(directory / "state")
    pki.ensure(paths, ClusterSettings(node_name="n1", advertise_address="127.0.0.1"), CLOCK)
    (directory / "audit.yaml").write_text(AUDIT_POLICY)
    audit = AuditSettings(policy_file=directory / "audit.yaml", log_path=str(directory / "audit.log"))
    store = MemoryStore(CLOCK)
    server = APIServer(config(paths.pki, advertise_address="192.0.2.1", audit=audit), store, CLOCK)
    await server.start()
    try:
        yield World(server, directory / "audit.log")
    finally:
        await server.stop()
        await store.close()


def match(plural: str, group: str = "") -> Obj:
    return {"resourceRules": [{"apiGroups": [group], "apiVersions": ["v1"], "operations": ["*"], "resources": [plural]}]}


def settings(name: str) -> Obj:
    return {"metadata": {"name": name}, "data": {"a": "b"}}


VALIDATING = (VALIDATING_POLICIES.resource, VALIDATING_POLICY_BINDINGS.resource)
MUTATING = (MUTATING_POLICIES.resource, MUTATING_POLICY_BINDINGS.resource)


def test_rbac_answers_what_a_policy_asks_of_the_user_and_of_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as w:
            role = {"kind": "ClusterRole", "name": "edit", "apiGroup": "rbac.authorization.k8s.io"}
            subjects = [
                {"kind": "User", "name": "ann", "apiGroup": "rbac.authorization.k8s.io"},
                {"kind": "User", "name": "bob", "apiGroup": "rbac.authorization.k8s.io"},
            ]
            await w.admin.create(CLUSTER_ROLE_BINDINGS, {"metadata": {"name": "e"}, "roleRef": role, "subjects": subjects})
            admin = {**role, "name": "cluster-admin"}
            await w.admin.create(CLUSTER_ROLE_BINDINGS, {"metadata": {"name": "a"}, "roleRef": admin, "subjects": subjects[:1]})
            may = "authorizer.group('example.com').resource('breakglass').check('use')"
            default = "authorizer.serviceAccount('default', 'default').group('').resource('configmaps').check('create')"
            said = "'not for ' + request.userInfo.username"
            validations = [
                {"expression": f"{may}.allowed()", "reason": "Forbidden", "messageExpression": said},
                {"expression": f"!{default}.allowed() && !{default}.errored()"},
            ]
            policy = {"matchConstraints": match("configmaps"), "validations": validations}
            await w.enforce(VALIDATING, policy, validationActions=["Deny"])
            await w.acting("ann").create(CONFIG_MAPS, settings("of-ann"), "default")
            with pytest.raises(Forbidden, match="denied request: not for bob"):
                await w.acting("bob").create(CONFIG_MAPS, settings("of-bob"), "default")

    asyncio.run(asyncio.wait_for(scenario(), 120))


def test_the_audit_log_has_failures_and_annotations(tmp_path: Path) -> None:
    async def scenario() -> list[Obj]:
        async with world(tmp_path) as w:
            policy = {
                "matchConstraints": match("configmaps"),
                "validations": [{"expression": "object.metadata.name != 'bad'", "message": "bad name"}],
                "auditAnnotations": [{"key": "name", "valueExpression": "'named ' + object.metadata.name"}],
            }
            await w.enforce(VALIDATING, policy, validationActions=["Audit"])
            await w.admin.create(CONFIG_MAPS, settings("bad"), "default")
            await w.admin.create(CONFIG_MAPS, settings("good"), "default")
        lines = [orjson.loads(line) for line in w.log.read_text().splitlines()]
        return [line for line in lines if line["verb"] == "create" and dig(line, "objectRef", "namespace") == "default"]

    found = {
        line["objectRef"].get("name"): line.get("annotations") or {} for line in asyncio.run(asyncio.wait_for(scenario(), 120))
    }
    noted = orjson.loads(found["bad"]["validation.policy.admission.k8s.io/validation_failure"])
    failure = {"message": "bad name", "policy": "p", "binding": "p", "expressionIndex": 0, "validationActions": ["Audit"]}
    assert noted == [failure]
    assert [found[name]["p/name"] for name in ("bad", "good")] == ["named bad", "named good"]
    assert "validation.policy.admission.k8s.io/validation_failure" not in found["good"]


def test_all_plugins_see_what_a_policy_has_changed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as w:
            expression = "Object{spec: Object.spec{replicas: 0}}"
            mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}
            policy = {"matchConstraints": match("deployments", "apps"), "reinvocationPolicy": "IfNeeded", "mutations": [mutation]}
            await w.enforce(MUTATING, policy)
            labels = {"app": "web"}
            template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
            spec = {"replicas": 3, "selector": {"matchLabels": labels}, "template": template}
            made = await w.admin.create(DEPLOYMENTS, {"metadata": {"name": "web"}, "spec": spec}, "default")
            assert made["spec"]["replicas"] == 0
            patched = await w.admin.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 5}}, "default")
            assert patched["spec"]["replicas"] == 0

    asyncio.run(asyncio.wait_for(scenario(), 120))


def test_what_does_not_fit_is_told_in_the_status(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as w:
            policies = VALIDATING_POLICIES.resource
            spec = {"matchConstraints": match("configmaps"), "validations": [{"expression": "object.data.a == 1"}]}
            made = await w.admin.create(policies, {"metadata": {"name": "p"}, "spec": spec})
            start = made["metadata"]["resourceVersion"]
            async for event in w.admin.watch(policies, resource_version=start, field_selector="metadata.name=p"):
                (warning,) = event.object["status"]["typeChecking"]["expressionWarnings"]
                assert "found no matching overload for '_==_' applied to '(string, int)'" in warning["warning"]
                assert event.object["status"]["observedGeneration"] == 1
                break
            with pytest.raises(Invalid, match="must evaluate to bool but got int"):
                await w.admin.create(
                    policies, {"metadata": {"name": "q"}, "spec": {**spec, "validations": [{"expression": "1"}]}}
                )

    asyncio.run(asyncio.wait_for(scenario(), 120))
