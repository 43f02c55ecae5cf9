"""A node's way in, over TLS and with real policy: a bootstrap token, its client certificate, its serving certificate."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from tests.fakes.requests import csr, pem

from steersman.api import bootstraptokens
from steersman.api.bootstraptokens import BootstrapToken
from steersman.api.resources import CERTIFICATE_SIGNING_REQUESTS as REQUESTS
from steersman.api.resources import CONFIG_MAPS, NODES, SECRETS, SERVICE_ACCOUNTS, SERVICES
from steersman.apiserver.config import ServerConfig
from steersman.apiserver.run import APIServer
from steersman.client import kubeconfig
from steersman.client.interface import Client
from steersman.client.rest import RestClient
from steersman.cluster import addons, bootstrapped, controlling, discovery, pki, process
from steersman.cluster.bootstrapped import Files
from steersman.cluster.commands import token as tokens
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.cluster.signing import FileSigner
from steersman.kubelet.certificates import CLIENT_FILE, Pair, Rotation
from steersman.kubelet.config import KubeletConfig
from steersman.machinery.clock import RealClock
from steersman.machinery.errors import Forbidden, Unauthorized
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, condition, name_of, uid_of
from steersman.store.memory import MemoryStore

GROUP = "system:bootstrappers:steersman:default-node-token"
TOKEN = BootstrapToken("abcdef", "0123456789abcdef", groups=(GROUP,))
ADDRESS = "192.0.2.7"
PATIENCE_S = 120
"""So that a wait in vain ends."""
REVIEWS = Resource("authentication.k8s.io", "v1", "selfsubjectreviews", False, "SelfSubjectReview")


@dataclass(slots=True)
class Cluster:
    server: str
    paths: Paths
    admin: RestClient
    directory: Path

    @property
    def ca(self) -> bytes:
        return (self.paths.pki / "ca.crt").read_bytes()

    def client(self, token: str = "") -> RestClient:
        config = kubeconfig.make("c", self.server, ca=self.ca, token=token)
        return RestClient(kubeconfig.resolve(config).transport(), user_agent="tests")

    def files(self, token: BootstrapToken = TOKEN) -> Files:
        """With a bootstrap kubeconfig of that token."""
        path = self.directory / "bootstrap.conf"
        kubeconfig.write(path, kubeconfig.make("c", self.server, ca=self.ca, token=token.text))
        return Files(self.directory / "kubelet.conf", path, self.directory / "pki")

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not await holds():
                await RealClock().sleep(0.02)


@asynccontextmanager
async def cluster(directory: Path) -> AsyncIterator[Cluster]:
    """An API server on loopback, the controllers with the CA's key, and what `up` adds."""
    paths, clock = Paths(directory / "state"), RealClock()
    settings = ClusterSettings(node_name="node", advertise_address="127.0.0.1", secure_port=0)
    pki.ensure(paths, settings, clock)
    config = ServerConfig(
        bind_address="127.0.0.1",
        advertise_address="192.0.2.1",
        secure_port=0,
        tls_cert=paths.pki / "apiserver.crt",
        tls_key=paths.pki / "apiserver.key",
        client_ca=paths.pki / "ca.crt",
        service_account_key=paths.pki / "sa.key",
    )
    store = MemoryStore(clock)
    server = APIServer(config, store, clock)
    await server.start()
    try:
        address = f"https://127.0.0.1:{server.port}"
        for name in ("admin", "controller-manager"):
            stem = paths.pki / name
            cert, key = stem.with_suffix(".crt").read_bytes(), stem.with_suffix(".key").read_bytes()
            made = kubeconfig.make("c", address, ca=(paths.pki / "ca.crt").read_bytes(), cert=cert, key=key)
            kubeconfig.write(paths.kubeconfigs / f"{name}.conf", made)
        signer = FileSigner(paths.pki / "ca.crt", paths.pki / "ca.key")
        manager = controlling.controller_manager(
            paths.kubeconfigs / "controller-manager.conf", paths.pki / "ca.crt", "", clock, None, signer
        )
        async with process.client_for(paths.admin_kubeconfig, "tests") as admin, asyncio.TaskGroup() as group:
            running = group.create_task(manager)
            await addons.ensure(admin, settings, (paths.pki / "ca.crt").read_bytes())
            yield Cluster(address, paths, admin, directory)
            running.cancel()
    finally:
        await server.stop()
        await store.close()


def run(directory: Path, scenario: Callable[[Cluster], Awaitable[None]]) -> None:
    async def main() -> None:
        async with cluster(directory) as c:
            await scenario(c)

    asyncio.run(main())


async def whoami(client: Client) -> tuple[str, list[str]]:
    found = await client.create(REVIEWS, {"apiVersion": REVIEWS.api_version, "kind": REVIEWS.kind})
    user = found["status"]["userInfo"]
    return user["username"], user["groups"]


def test_a_node_joins_with_a_token_and_serves_with_a_certificate_of_the_cluster(tmp_path: Path) -> None:
    async def scenario(c: Cluster) -> None:
        await tokens.create(c.admin, TOKEN)
        files, clock = c.files(), RealClock()
        with_token = c.client(token=TOKEN.text)
        assert await whoami(with_token) == ("system:bootstrap:abcdef", ["system:bootstrappers", GROUP, "system:authenticated"])
        await with_token.close()
        taken: list[KubeletConfig] = []
        config = KubeletConfig(node_name="n1", root_dir=tmp_path / "kubelet")

        async def kubelet(client: Client, config: KubeletConfig, rotation: Rotation | None) -> None:
            assert (await whoami(client)) == ("system:node:n1", ["system:nodes", "system:authenticated"])
            assert rotation is not None and config.tls_cert_file is not None
            assert Pair(config.tls_cert_file).certificate.issuer.rfc4514_string() == "CN=n1-placeholder"
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}
            await client.create(NODES, node)
            addresses = [{"type": "InternalIP", "address": ADDRESS}]
            await client.patch(NODES, "n1", {"status": {"addresses": addresses}}, subresource="status")
            done = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                keeping = group.create_task(rotation.keep_serving(done.set))
                await done.wait()
                keeping.cancel()
            taken.append(config)

        async with asyncio.timeout(PATIENCE_S):
            await bootstrapped.run(files, config, clock, kubelet)
        assert taken[0].tls_cert_file is not None and taken[0].client_ca_file is not None
        serving = Pair(taken[0].tls_cert_file)
        assert serving.names() == {"n1", ADDRESS}
        serving.certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(c.ca))
        ssl.create_default_context(cafile=taken[0].client_ca_file).load_cert_chain(taken[0].tls_cert_file)
        assert oct((files.directory / CLIENT_FILE).stat().st_mode)[-3:] == "600"
        # A second start asks for nothing, and no longer needs the bootstrap credentials.
        files.bootstrap.unlink()
        before = len((await c.admin.list(REQUESTS))["items"])
        await bootstrapped.ensure(files, "n1", clock)
        assert len((await c.admin.list(REQUESTS))["items"]) == before == 2

    run(tmp_path, scenario)


def test_a_client_certificate_is_renewed_with_the_one_before_it(tmp_path: Path) -> None:
    async def scenario(c: Cluster) -> None:
        await tokens.create(c.admin, TOKEN)
        files, clock = c.files(), RealClock()
        await bootstrapped.ensure(files, "n1", clock)
        path = files.directory / CLIENT_FILE
        first = Pair(path).certificate

        class Late(RealClock):
            """At the end of the certificate's life: only asking whether it is due looks at this clock's date."""

            now = staticmethod(lambda: first.not_valid_after_utc)

        transport = kubeconfig.load(files.config)
        client = RestClient(transport, user_agent="kubelet")
        renewed = asyncio.Event()

        def changed() -> None:
            transport.reload()
            renewed.set()

        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            await whoami(client)
            keeping = group.create_task(Rotation(client, Late(), random.Random(1), files.directory, "n1").keep_client(changed))
            await renewed.wait()
            keeping.cancel()
        second = Pair(path).certificate
        assert second.serial_number != first.serial_number
        assert (await whoami(client))[0] == "system:node:n1"
        found = (await c.admin.list(REQUESTS))["items"]
        assert sorted(item["spec"]["username"] for item in found) == ["system:bootstrap:abcdef", "system:node:n1"]
        messages = {(condition(item["status"]["conditions"], "Approved") or {})["message"] for item in found}
        assert messages == {
            "Auto approving kubelet client certificate after SubjectAccessReview.",
            "Auto approving self kubelet client certificate after SubjectAccessReview.",
        }
        await client.close()

    run(tmp_path, scenario)


def test_foreign_names_and_bad_tokens_are_refused(tmp_path: Path) -> None:
    async def scenario(c: Cluster) -> None:
        await tokens.create(c.admin, TOKEN)
        files, kubelet_client = c.files(), "kubernetes.io/kube-apiserver-client-kubelet"
        await bootstrapped.ensure(files, "n1", RealClock())
        node = RestClient(kubeconfig.load(files.config), user_agent="kubelet")
        for signer, purpose in ((kubelet_client, "client auth"), ("kubernetes.io/kubelet-serving", "server auth")):
            request = pem("system:node:n2", ("system:nodes",), ["n2"] if purpose == "server auth" else ())
            with pytest.raises(Forbidden, match="can only create a node CSR with CN=system:node:n1"):
                await node.create(REQUESTS, csr(signer, request, purpose=purpose))
        await node.close()

        # Tokens of another group may ask for nothing; wrong, expired, and signing-only ones are nobody's.
        others: list[tuple[str, BootstrapToken, type[Exception]]] = [
            ("another group", BootstrapToken("bbbbbb", TOKEN.secret), Forbidden),
            ("signing only", BootstrapToken("cccccc", TOKEN.secret, usages=("signing",), groups=(GROUP,)), Unauthorized),
        ]
        for _, token, _ in others:
            await tokens.create(c.admin, token)
        others.append(("wrong", BootstrapToken("abcdef", "f" * 16), Unauthorized))
        others.append(("unknown", BootstrapToken("dddddd", "f" * 16), Unauthorized))
        for case, token, error in others:
            client = c.client(token=token.text)
            with pytest.raises(error):
                await client.create(REQUESTS, csr(kubelet_client, pem("system:node:n3", ("system:nodes",))))
                pytest.fail(case)
            await client.close()

    run(tmp_path, scenario)


def test_cluster_info_is_public_and_signed_with_every_token(tmp_path: Path) -> None:
    async def scenario(c: Cluster) -> None:
        await tokens.create(c.admin, TOKEN)
        nobody = c.client()

        async def read() -> Obj:
            data: Obj = (await nobody.get(CONFIG_MAPS, "cluster-info", "kube-public"))["data"]
            return data

        async def is_signed() -> bool:
            return "jws-kubeconfig-abcdef" in await read()

        await c.until(is_signed)
        data = await read()
        assert bootstraptokens.verify(data["jws-kubeconfig-abcdef"], data["kubeconfig"], TOKEN.id, TOKEN.secret)
        described = kubeconfig.read(_written(tmp_path / "info.conf", data["kubeconfig"]))
        assert described["users"] == [] and described["clusters"][0]["cluster"]["certificate-authority-data"]
        with pytest.raises(Forbidden):
            await nobody.list(CONFIG_MAPS, "kube-public")
        await nobody.close()
        assert await tokens.delete(c.admin, TOKEN.text) == "abcdef"

        async def is_unsigned() -> bool:
            return not [key for key in (await c.admin.get(CONFIG_MAPS, "cluster-info", "kube-public"))["data"] if "jws" in key]

        await c.until(is_unsigned)

    run(tmp_path, scenario)


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_what_works_beside_a_kubelet_acts_by_tokens_that_end_with_the_node(tmp_path: Path) -> None:
    async def scenario(c: Cluster) -> None:
        await tokens.create(c.admin, TOKEN)
        files, clock = c.files(), RealClock()
        await bootstrapped.ensure(files, "n1", clock)
        node = RestClient(kubeconfig.load(files.config), user_agent="kubelet")
        made = await node.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
        other = await c.admin.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n2"}})

        async def ask(account: str, **spec: object) -> str:
            request: Obj = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
            answer = await node.create(SERVICE_ACCOUNTS, request, "kube-system", name=account, subresource="token")
            return str(answer["status"]["token"])

        def bound(to: Obj, **change: object) -> Obj:
            return {"apiVersion": "v1", "kind": "Node", "name": name_of(to), "uid": uid_of(to), **change}

        proxy = c.client(token=await ask("kube-proxy", boundObjectRef=bound(made)))
        dns = c.client(token=await ask("node-dns", boundObjectRef=bound(made)))
        assert (await whoami(proxy))[0] == "system:serviceaccount:kube-system:kube-proxy"
        assert len((await proxy.list(NODES))["items"]) == 2
        await dns.list(SERVICES)
        for refused in (
            ask("kube-proxy"),
            ask("kube-proxy", boundObjectRef=bound(other)),
            ask("kube-proxy", boundObjectRef=bound(made, uid="")),
            ask("kube-proxy", boundObjectRef=bound(made), audiences=["elsewhere"]),
            ask("kube-dns", boundObjectRef=bound(made)),
            ask("node-controller", boundObjectRef=bound(made)),
            proxy.delete(NODES, "n2"),
            dns.list(NODES),
            dns.list(SECRETS, "kube-system"),
        ):
            with pytest.raises(Forbidden):
                await refused
        await c.admin.delete(NODES, "n1")

        async def is_over() -> bool:
            try:
                await proxy.list(NODES)
            except Unauthorized:
                return True
            return False

        await c.until(is_over)
        for client in (node, proxy, dns):
            await client.close()

    run(tmp_path, scenario)


def test_a_machine_finds_the_cluster_it_was_told_of_unless_its_clock_is_far_off(tmp_path: Path) -> None:
    async def scenario(c: Cluster) -> None:
        await tokens.create(c.admin, TOKEN)
        server, pins = c.server.removeprefix("https://"), (pki.pin(c.ca),)
        found = await discovery.discover(server, TOKEN.text, pins, RealClock())
        assert found.ca == c.ca and found.server == "https://127.0.0.1:0"

        class Off(RealClock):
            def __init__(self, minutes: float) -> None:
                self._by = timedelta(minutes=minutes)

            def now(self) -> datetime:
                return super().now() + self._by

        await discovery.discover(server, TOKEN.text, pins, Off(1.5))
        for minutes, said in ((12, "this machine's clock is 12 minutes ahead of"), (-600, "clock is 600 minutes behind that of")):
            with pytest.raises(discovery.DiscoveryError, match=said):
                await discovery.discover(server, TOKEN.text, pins, Off(minutes))
        _, _, port = server.rpartition(":")
        with pytest.raises(discovery.DiscoveryError, match="the API server's certificate is not for 127.1: use an address"):
            await discovery.discover(f"127.1:{port}", TOKEN.text, pins, RealClock())

    run(tmp_path, scenario)
