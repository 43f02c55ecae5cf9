"""The HTTPS server on 10250: authentication, authorization, and which path is what.

Source: upstream pkg/kubelet/server/server.go.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qsl, unquote

import orjson
from aiohttp import web

from steersman.client.interface import Client
from steersman.cri.interface import Runtime
from steersman.kubelet import pods
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.server import logfile, podlogs
from steersman.kubelet.server.auth import Gate
from steersman.kubelet.server.stats import Stats
from steersman.kubelet.server.streaming import Streaming
from steersman.kubelet.worker import PodWorker
from steersman.kubelet.workers import PodWorkers
from steersman.machinery.clock import Clock
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj

log = logging.getLogger(__name__)

_Answer = Callable[[web.BaseRequest, list[str]], Awaitable[web.StreamResponse]]


class Refused(Exception):
    """An answer that is only a status and a sentence."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class KubeletServer:
    """`start()` binds, `stop()` closes."""

    def __init__(self, config: KubeletConfig, client: Client, runtime: Runtime, clock: Clock, workers: PodWorkers) -> None:
        self._config, self._runtime, self._clock, self._workers = config, runtime, clock, workers
        self._gate = Gate(client, clock, config.node_name)
        self._stats = Stats(config, runtime, clock)
        self._streaming = Streaming(runtime, clock)
        self._server: web.Server | None = None
        self._context: ssl.SSLContext | None = None
        self._listener: asyncio.Server | None = None
        self.port = 0
        self._routes: dict[str, _Answer] = {
            "healthz": self._healthz,
            "pods": self._pods,
            "runningpods": self._running_pods,
            "containerLogs": self._logs,
            "exec": self._stream,
            "attach": self._stream,
            "portForward": self._stream,
            "run": self._run,
            "stats": self._summary,
            "metrics": self._metrics,
            "configz": self._configz,
        }

    async def start(self) -> None:
        """Needs the serving certificate of the config."""
        config, loop = self._config, asyncio.get_running_loop()
        if config.tls_cert_file is None or config.tls_private_key_file is None:
            raise ValueError("the kubelet's server needs a certificate and its key")
        context = self._context = _tls(config.tls_cert_file, config.tls_private_key_file, config.client_ca_file)
        self._server = web.Server(self._serve, access_log=None, lingering_time=0)
        self._listener = await loop.create_server(self._server, config.address, config.port, ssl=context)
        self.port = self._listener.sockets[0].getsockname()[1]

    def reload(self) -> None:
        """Take up the serving certificate's files again, for connections to come."""
        certificate, key = self._config.tls_cert_file, self._config.tls_private_key_file
        if self._context is not None and certificate is not None and key is not None:
            self._context.load_cert_chain(certificate, key)

    async def stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
        if self._server is not None:
            await self._server.shutdown(1.0)

    # --- one request -----------------------------------------------------------------------------------------------

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        path = unquote(request.raw_path.partition("?")[0])
        try:
            await self._check(request, path)
            parts = [part for part in path.split("/") if part]
            route = self._routes.get(parts[0]) if parts else None
            if route is None:
                raise Refused(404, "404 page not found")
            return await route(request, parts[1:])
        except Refused as refused:
            return web.Response(status=refused.status, text=f"{refused}\n")
        except podlogs.LogRefused as refused:
            return web.Response(status=400, text=str(refused))
        except (StatusError, ConnectionError) as error:
            log.warning("request failed path=%s error=%s", path, error)
            return web.Response(status=500, text=f"{error}\n")

    async def _check(self, request: web.BaseRequest, path: str) -> None:
        """Raises Refused 401, 403."""
        transport = request.transport
        certificate = transport.get_extra_info("peercert") if transport is not None else None
        user = await self._gate.user(certificate, request.headers.get("Authorization", ""))
        if user is None:
            raise Refused(401, "Unauthorized")
        if not await self._gate.allowed(user, request.method, path):
            first = path.strip("/").partition("/")[0]
            text = f"Forbidden (user={user.name}, verb={request.method.lower()}, resource=nodes, subresource(s)=[{first}])"
            raise Refused(403, text)

    def _worker(self, namespace: str, name: str, uid: str = "") -> PodWorker:
        worker = self._workers.find(namespace, name)
        if worker is None or (uid and worker.uid != uid):
            raise Refused(404, "pod does not exist")
        return worker

    # --- answers ---------------------------------------------------------------------------------------------------

    async def _healthz(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        return web.Response(text="ok")

    async def _pods(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        return _json(_pod_list([{**worker.pod, "status": worker.status} for worker in self._workers]))

    async def _running_pods(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        items = []
        for worker in self._workers:
            if worker.view.running:
                meta = {key: worker.pod["metadata"].get(key) for key in ("name", "namespace", "uid")}
                found = [{"name": item.name, "image": item.image} for item in worker.view.running]
                items.append({"metadata": meta, "spec": {"containers": found}, "status": {}})
        return _json(_pod_list(items))

    async def _configz(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        config = self._config
        shown = {
            "address": config.address,
            "port": config.port,
            "clusterDNS": list(config.cluster_dns),
            "clusterDomain": config.cluster_domain,
            "maxPods": config.max_pods,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": config.cgroup_root,
            "kubeReserved": dict(config.kube_reserved),
            "systemReserved": dict(config.system_reserved),
        }
        return _json({"kubeletconfig": shown})

    async def _summary(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        if rest != ["summary"]:
            raise Refused(404, "404 page not found")
        brief = _query(request).get("only_cpu_and_memory", "") in ("true", "1")
        return _json(await self._stats.summary(self._workers, only_cpu_and_memory=brief))

    async def _metrics(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        if rest not in ([], ["resource"]):
            raise Refused(404, "404 page not found")
        text = await self._stats.resource_metrics(self._workers)
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=text.encode(), headers=headers)

    async def _logs(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        if len(rest) != 3:
            raise Refused(404, "404 page not found")
        namespace, name, container = rest
        worker = self._workers.find(namespace, name)
        if worker is None:
            raise Refused(404, f'pod "{name}" does not exist')
        if pods.find_container(worker.pod, container) is None:
            raise Refused(404, f'container "{container}" not found in pod "{name}"')
        query = _query(request)
        options = podlogs.options_of(query, self._clock.now())
        wanted = podlogs.container_id(worker.pod, worker.status, container, podlogs.wants_previous(query))
        found = podlogs.find(worker.view, wanted)
        if found is None:
            return web.Response(text=f"unable to retrieve container logs for {self._runtime_prefix(worker)}{wanted}")
        answer = web.StreamResponse(headers={"Content-Type": "text/plain"})
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        try:
            async for piece in logfile.read(found.log_path, options, self._clock, podlogs.liveness(worker, wanted)):
                await answer.write(piece)
        except ConnectionError:
            log.debug("client left the log pod=%s/%s", namespace, name)
            return answer
        except OSError as error:
            await answer.write(f"failed to try resolving symlinks in path {found.log_path!r}: {error}".encode())
        await answer.write_eof()
        return answer

    @staticmethod
    def _runtime_prefix(worker: PodWorker) -> str:
        entries = worker.status.get("containerStatuses") or [{}]
        return str(entries[0].get("containerID") or "://").partition("://")[0] + "://"

    async def _stream(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        """exec, attach, portForward: `/<what>/<ns>/<pod>[/<uid>][/<container>]`."""
        what = request.path.split("/")[1]
        containers = 0 if what == "portForward" else 1
        if len(rest) not in (2 + containers, 3 + containers):
            raise Refused(404, "404 page not found")
        worker = self._worker(rest[0], rest[1], rest[2] if len(rest) == 3 + containers else "")
        if what == "portForward":
            sandbox = worker.view.ready_sandbox
            if sandbox is None:
                raise Refused(500, f"pod {rest[1]} has no running sandbox")
            return await self._streaming.port_forward(request, sandbox.id)
        container = worker.view.newest(rest[-1])
        if pods.find_container(worker.pod, rest[-1]) is None or container is None:
            raise Refused(404, f'container "{rest[-1]}" not found in pod "{rest[1]}"')
        if container not in worker.view.running:
            raise Refused(400, f'container "{rest[-1]}" in pod "{rest[1]}" is not running')
        return await self._streaming.command(request, container.id, attach=what == "attach")

    async def _run(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        """`/run/<ns>/<pod>[/<uid>]/<container>?cmd=`: run a command, answer its output."""
        if len(rest) not in (3, 4):
            raise Refused(404, "404 page not found")
        worker = self._worker(rest[0], rest[1], rest[2] if len(rest) == 4 else "")
        container = worker.view.newest(rest[-1])
        if container is None:
            raise Refused(404, f'container "{rest[-1]}" not found')
        command = _query(request).get("cmd", "").split(" ")
        done = await self._runtime.exec_sync(container.id, command, 0)
        return web.Response(body=done.stdout + done.stderr, status=200 if done.exit_code == 0 else 500)


def _query(request: web.BaseRequest) -> dict[str, str]:
    """The first value of each parameter."""
    found: dict[str, str] = {}
    for key, value in parse_qsl(request.raw_path.partition("?")[2], keep_blank_values=True):
        found.setdefault(key, value)
    return found


def _json(body: Obj) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json")


def _pod_list(items: list[Obj]) -> Obj:
    return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}


@lru_cache(maxsize=4)
def _tls(certificate: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        # Optional: a token will do as well.
        context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context
