"""The HTTPS server on 10250: authentication, authorization, and which path is what.

Source: upstream pkg/kubelet/server/server.go.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, unquote

from aiohttp import web

from steersman.client.interface import Client
from steersman.cri.interface import ImageService, Runtime
from steersman.kubelet import pods
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.counts import Counts
from steersman.kubelet.probes.manager import ProbeManager
from steersman.kubelet.server import logfile, pages, podlogs, tls
from steersman.kubelet.server.auth import Gate, subresources, verb
from steersman.kubelet.server.exposition import CONTENT_TYPE
from steersman.kubelet.server.listening import server_of
from steersman.kubelet.server.metrics import MetricsPages
from steersman.kubelet.server.refusal import NOT_FOUND, Refused
from steersman.kubelet.server.stats import Stats
from steersman.kubelet.server.streaming import Streaming
from steersman.kubelet.server.volumestats import Volumes
from steersman.kubelet.worker import PodWorker
from steersman.kubelet.workers import PodWorkers
from steersman.machinery.clock import Clock
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Key

log = logging.getLogger(__name__)

_Answer = Callable[[web.BaseRequest, list[str]], Awaitable[web.StreamResponse]]
_DEBUGGING = ("run", "exec", "attach", "portForward", "containerLogs", "runningpods")


class KubeletServer:
    """`start()` binds, `stop()` closes."""

    def __init__(
        self,
        config: KubeletConfig,
        client: Client,
        runtime: Runtime,
        images: ImageService,
        clock: Clock,
        workers: PodWorkers,
        probes: ProbeManager,
        checks: pages.Checks,
        mirror_uid: Callable[[Key], str],
        counts: Counts,
        volumes: Volumes,
    ) -> None:
        """mirror_uid(key): how the API knows the static pod of that namespace and name."""
        self._config, self._runtime, self._clock, self._workers = config, runtime, clock, workers
        self.checks = checks
        self._mirror_uid = mirror_uid
        self._gate = Gate(client, clock, config)
        self._stats = Stats(config, runtime, clock, images, volumes)
        self._pages = MetricsPages(config, clock, self._stats, probes, counts)
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
            "logs": self._node_log,
            "checkpoint": self._checkpoint,
        }
        if not config.debugging_handlers:
            self._routes |= dict.fromkeys(_DEBUGGING, _disabled("Debug endpoints are disabled."))
        if not (config.node_logs_handler and config.debugging_handlers):
            self._routes["logs"] = _disabled("logs endpoint is disabled.")

    async def start(self) -> None:
        """Needs the serving certificate of the config."""
        config, loop = self._config, asyncio.get_running_loop()
        self._context = tls.context(config)
        self._server = server_of(self._serve, 0)
        self._listener = await loop.create_server(self._server, config.address, config.port, ssl=self._context)
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
                raise Refused(404, NOT_FOUND)
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
            wanted = f"verb={verb(request.method)}, resource=nodes, subresource(s)=[{' '.join(subresources(path))}]"
            raise Refused(403, f"Forbidden (user={user.name}, {wanted})")

    def _worker(self, namespace: str, name: str, uid: str = "") -> PodWorker:
        worker = self._workers.find(namespace, name)
        if worker is None or uid not in ("", worker.uid, self._mirror_uid((namespace, name))):
            raise Refused(404, "pod does not exist")
        return worker

    # --- answers ---------------------------------------------------------------------------------------------------

    async def _healthz(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        return pages.healthz(self.checks, rest, verbose="verbose" in _query(request))

    async def _pods(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        return pages.all_pods(self._workers)

    async def _running_pods(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        return pages.running_pods(self._workers)

    async def _configz(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        return pages.configz(self._config)

    async def _checkpoint(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        return pages.checkpoint(self._workers, request.method, rest)

    async def _node_log(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        return await pages.node_log(request, rest)

    async def _summary(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        if rest != ["summary"]:
            raise Refused(404, NOT_FOUND)
        brief = _query(request).get("only_cpu_and_memory", "") in ("true", "1")
        return pages.json(await self._stats.summary(self._workers, only_cpu_and_memory=brief))

    async def _metrics(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        page = rest[0] if len(rest) == 1 else "" if not rest else None
        if page == "":
            text = await self._pages.own(self._workers)
        elif page == "resource":
            text = await self._pages.resource(self._workers)
        elif page == "cadvisor":
            text = await self._pages.cadvisor(self._workers)
        elif page == "probes":
            text = self._pages.probes()
        else:
            raise Refused(404, NOT_FOUND)
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    async def _logs(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        if len(rest) != 3:
            raise Refused(404, NOT_FOUND)
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
            raise Refused(404, NOT_FOUND)
        worker = self._worker(rest[0], rest[1], rest[2] if len(rest) == 3 + containers else "")
        if what == "portForward":
            sandbox = worker.view.ready_sandbox
            if sandbox is None:
                raise Refused(500, f"pod {rest[1]} has no running sandbox")
            return await self._streaming.port_forward(request, sandbox.id)
        container = worker.view.newest(rest[-1])
        if pods.find_container(worker.pod, rest[-1]) is None or container not in worker.view.running:
            # Also what has ended. Clients that try again go by these words.
            raise Refused(500, f'container not found ("{rest[-1]}")')
        return await self._streaming.command(request, container.id, attach=what == "attach")

    async def _run(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        """`/run/<ns>/<pod>[/<uid>]/<container>?cmd=`: run a command, answer its output."""
        if len(rest) not in (3, 4):
            raise Refused(404, NOT_FOUND)
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


def _disabled(why: str) -> _Answer:
    async def refuse(request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        raise Refused(405, why)

    return refuse
