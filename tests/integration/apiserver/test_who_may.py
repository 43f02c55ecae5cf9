"""A server with all that says who may do what, over TLS: issuers, a front proxy, webhooks, anonymous by path, admission."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.fakes import certs, httpd, issuer
from tests.fakes.issuer import Issuer
from tests.fakes.server import config

from steersman.api.resources import CONFIG_MAPS, NAMESPACES, PODS, SERVICE_ACCOUNTS
from steersman.apiserver.access import (
    AdmissionSettings,
    AuthenticationSettings,
    AuthorizationSettings,
    RequestHeaderSettings,
    TokenWebhookSettings,
)
from steersman.apiserver.run import APIServer
from steersman.client import kubeconfig
from steersman.client.http import HttpTransport
from steersman.client.rest import RestClient
from steersman.cluster import pki
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.machinery.clock import RealClock
from steersman.machinery.errors import Forbidden
from steersman.machinery.meta import Obj
from steersman.store.memory import MemoryStore

CLOCK = RealClock()


def authentication(made: Issuer) -> Obj:
    claim = "claims.sub.endsWith('@example.com')"
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [
            {
                "issuer": {"url": made.url, "audiences": ["k8s"], "certificateAuthority": made.ca_pem},
                "claimValidationRules": [{"expression": claim, "message": "only our own people"}],
                "claimMappings": {
                    "username": {"expression": "'oidc:' + claims.sub.split('@')[0]"},
                    "groups": {"expression": "claims.roles.map(r, 'oidc:' + r)"},
                    "extra": [{"key": "example.com/tenant", "valueExpression": "claims.tenant"}],
                },
                "userValidationRules": [{"expression": "!user.username.startsWith('system:')", "message": "reserved"}],
            }
        ],
        "anonymous": {"enabled": True, "conditions": [{"path": "/livez"}]},
    }


def authorization(directory: Path) -> Obj:
    webhook = {
        "timeout": "30s",
        "subjectAccessReviewVersion": "v1",
        "matchConditionSubjectAccessReviewVersion": "v1",
        "failurePolicy": "Deny",
        "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": str(directory / "hook.conf")},
        "matchConditions": [
            {"expression": "has(request.resourceAttributes) && request.resourceAttributes.namespace == 'guarded'"}
        ],
    }
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthorizationConfiguration",
        "authorizers": [
            {"type": "Webhook", "name": "guard", "webhook": webhook},
            {"type": "Node", "name": "node"},
            {"type": "RBAC", "name": "rbac"},
        ],
    }


ADMISSION = {
    "apiVersion": "apiserver.config.k8s.io/v1",
    "kind": "AdmissionConfiguration",
    "plugins": [
        {
            "name": "PodSecurity",
            "configuration": {
                "apiVersion": "pod-security.admission.config.k8s.io/v1",
                "kind": "PodSecurityConfiguration",
                "defaults": {"enforce": "baseline"},
                "exemptions": {"namespaces": ["kube-system"]},
            },
        }
    ],
}


def answer(_method: str, _path: str, sent: Any) -> tuple[int, Any]:
    """The webhook: knows one token, and denies whatever is done in the guarded namespace but reading."""
    spec = sent["spec"]
    if sent["kind"] == "TokenReview":
        known = spec["token"] == "from-the-hook"
        status = {"authenticated": known, "user": {"username": "hooked", "groups": ["far"]}} if known else {}
        return 200, {**sent, "status": status}
    reading = spec["resourceAttributes"]["verb"] == "get"
    return 200, {**sent, "status": {"allowed": False, "denied": not reading, "reason": "it is guarded"}}


class World:
    def __init__(self, server: APIServer, paths: Paths, made: Issuer, hook: httpd.Httpd) -> None:
        self.server, self.paths, self.issuer, self.hook = server, paths, made, hook

    @contextlib.asynccontextmanager
    async def client(self, token: str = "", pair: tuple[Path, Path] | None = None) -> AsyncIterator[RestClient]:
        cert, key = pair or (None, None)
        url = f"https://127.0.0.1:{self.server.port}"
        client = RestClient(HttpTransport(url, ca=self.paths.pki / "ca.crt", cert=cert, key=key, token=token))
        try:
            yield client
        finally:
            await client.close()

    def pair(self, stem: str) -> tuple[Path, Path]:
        return self.paths.pki / f"{stem}.crt", self.paths.pki / f"{stem}.key"

    async def asked(self, client: RestClient, **headers: str) -> tuple[int, Obj]:
        """Who the server takes this client for: status and user, or message."""
        body = orjson.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
        sent = {"Content-Type": "application/json", **headers}
        found = await client.transport.request(
            "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=body, headers=sent
        )
        said = orjson.loads(found.body)
        return found.status, said["status"]["userInfo"] if found.status == 201 else said


@contextlib.asynccontextmanager
async def world(directory: Path) -> AsyncIterator[World]:
    paths = Paths(directory / "state")
    pki.ensure(paths, ClusterSettings(node_name="n1", advertise_address="127.0.0.1"), CLOCK)
    front_ca, front_key = certs.authority(directory / "front-ca.crt")
    certs.signed(paths.pki / "front-proxy", "front-proxy-client", front_ca, front_key)
    certs.signed(paths.pki / "stranger", "stranger", front_ca, front_key)
    async with issuer.serving(directory, CLOCK) as made, httpd.serving(directory, answer) as hook:
        kubeconfig.write(directory / "hook.conf", kubeconfig.make("hook", hook.url, ca=hook.ca.read_bytes(), token="x"))
        for name, content in (("authn", authentication(made)), ("authz", authorization(directory)), ("admission", ADMISSION)):
            (directory / f"{name}.json").write_bytes(orjson.dumps(content))
        settings = config(
            paths.pki,
            advertise_address="192.0.2.1",
            authentication=AuthenticationSettings(
                config_file=directory / "authn.json",
                request_header=RequestHeaderSettings(
                    client_ca_file=directory / "front-ca.crt",
                    allowed_names=("front-proxy-client",),
                    uid_headers=("X-Remote-Uid",),
                ),
                token_webhook=TokenWebhookSettings(config_file=directory / "hook.conf", version="v1"),
            ),
            authorization=AuthorizationSettings(config_file=directory / "authz.json"),
            admission=AdmissionSettings(control_config_file=directory / "admission.json"),
        )
        store = MemoryStore(CLOCK)
        server = APIServer(settings, store, CLOCK)
        await server.start()
        try:
            yield World(server, paths, made, hook)
        finally:
            await server.stop()
            await store.close()


async def issuers_and_webhook(w: World) -> None:
    claims: Obj = {"sub": "ann@example.com", "roles": ["dev"], "tenant": "blue"}
    async with w.client(w.issuer.sign(**claims)) as ann:
        status, user = await w.asked(ann)
        assert (status, user["username"], user["groups"]) == (201, "oidc:ann", ["oidc:dev", "system:authenticated"])
        assert user["extra"]["example.com/tenant"] == ["blue"]
    for wrong in ({**claims, "sub": "ann@elsewhere.com"}, {**claims, "aud": "other"}, {**claims, "lasts_s": -60}):
        async with w.client(w.issuer.sign(**wrong)) as nobody:
            assert (await w.asked(nobody))[0] == 401
    async with w.client("from-the-hook") as hooked:
        assert (await w.asked(hooked))[1]["username"] == "hooked"
    async with w.client("unknown") as nobody:
        assert (await w.asked(nobody))[0] == 401


async def front_proxy(w: World) -> None:
    told = {"X-Remote-User": "bea", "X-Remote-Uid": "7", "X-Remote-Group": "ops", "X-Remote-Extra-Scopes": "all"}
    async with w.client(pair=w.pair("front-proxy")) as proxy:
        status, user = await w.asked(proxy, **told)
        assert (status, user["username"], user["uid"]) == (201, "bea", "7")
        assert (user["groups"], user["extra"]["scopes"]) == (["ops", "system:authenticated"], ["all"])
        assert (await w.asked(proxy))[0] == 401
    async with w.client(pair=w.pair("stranger")) as stranger:
        assert (await w.asked(stranger, **told))[0] == 401
    async with w.client(pair=w.pair("admin")) as admin:
        assert (await w.asked(admin, **told))[1]["username"] == "kubernetes-admin"


async def anonymous(w: World) -> None:
    async with w.client() as nobody:
        assert await nobody.raw("GET", "/livez") == "ok"
        answered = await nobody.transport.request("GET", "/readyz")
        assert answered.status == 401


async def guarded(w: World, admin: RestClient) -> None:
    await admin.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "guarded"}})
    claims: Obj = {"sub": "ann@example.com", "roles": ["dev"], "tenant": "blue"}
    async with w.client(w.issuer.sign(**claims)) as ann:
        with pytest.raises(
            Forbidden, match='"oidc:ann" cannot list resource "pods" in API group "" in the namespace "guarded": it is'
        ):
            await ann.list(PODS, "guarded")
        with pytest.raises(Forbidden, match='cannot list resource "pods" in API group "" in the namespace "default"$'):
            await ann.list(PODS, "default")
    reviews = [sent["spec"] for _, _, sent in w.hook.seen if sent["kind"] == "SubjectAccessReview"]
    assert [spec["resourceAttributes"]["namespace"] for spec in reviews] == ["guarded"]
    assert (reviews[0]["user"], reviews[0]["extra"]) == ("oidc:ann", {"example.com/tenant": ["blue"]})


async def admitted(admin: RestClient) -> None:
    account: Obj = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}}
    await admin.create(SERVICE_ACCOUNTS, account)
    container = {"name": "c", "image": "i", "securityContext": {"privileged": True}}
    body: Obj = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [container], "automountServiceAccountToken": False},
    }
    text = 'violates PodSecurity "baseline:latest": privileged .container "c" must not set securityContext.privileged=true.'
    with pytest.raises(Forbidden, match=text):
        await admin.create(PODS, body)


def test_all_of_it_together(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as w, w.client(pair=w.pair("admin")) as admin:
            await issuers_and_webhook(w)
            await front_proxy(w)
            await anonymous(w)
            await guarded(w, admin)
            await admitted(admin)
            trust = (await admin.get(CONFIG_MAPS, "extension-apiserver-authentication", "kube-system"))["data"]
            assert trust["requestheader-allowed-names"] == '["front-proxy-client"]'
            assert trust["requestheader-extra-headers-prefix"] == '["X-Remote-Extra-"]'
            assert trust["requestheader-client-ca-file"] == (tmp_path / "front-ca.crt").read_text()

    asyncio.run(scenario())
