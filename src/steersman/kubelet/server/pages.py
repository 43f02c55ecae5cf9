"""What the kubelet tells of itself and its node: health, configuration, pods, the node's log files; and what it refuses.

Source: upstream pkg/kubelet/server/server.go, kubelet_server_journal.go. What is not here: containers' logs and streams (app.py).
"""

from __future__ import annotations

import asyncio
import html
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

import orjson
from aiohttp import web

from steersman.kubelet import pods
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.configuration.effective import shown
from steersman.kubelet.server.refusal import NOT_FOUND, Refused
from steersman.kubelet.workers import PodWorkers
from steersman.machinery.meta import Obj

LOGS = Path("/var/log")
_LONGEST_TURN_S = 300.0

Checks = Mapping[str, Callable[[], bool]]
"""By name: whether that is well."""


def checks(config: KubeletConfig, idle_s: Callable[[], float]) -> Checks:
    """What /healthz looks at. idle_s: how long ago all pods were last looked at."""
    longest_s = max(_LONGEST_TURN_S, 2 * config.sync_frequency_s)
    return {"ping": lambda: True, "log": lambda: True, "syncloop": lambda: idle_s() < longest_s}


def healthz(found: Checks, rest: list[str], *, verbose: bool = False) -> web.Response:
    """/healthz, or one of its checks by name. Raises Refused."""
    if rest and (len(rest) > 1 or rest[0] not in found):
        raise Refused(404, NOT_FOUND)
    looked = {name: check() for name, check in found.items() if not rest or name in rest}
    bad = [name for name, good in looked.items() if not good]
    if rest:
        return web.Response(text="ok") if not bad else web.Response(status=500, text="internal server error: failed\n")
    lines = [f"[+]{name} ok\n" if good else f"[-]{name} failed: reason withheld\n" for name, good in looked.items()]
    if bad:
        return web.Response(status=500, text="".join(lines) + "healthz check failed\n")
    return web.Response(text="".join(lines) + "healthz check passed\n" if verbose else "ok")


def configz(config: KubeletConfig) -> web.Response:
    return json({"kubeletconfig": shown(config)})


def all_pods(workers: PodWorkers) -> web.Response:
    return json(_pod_list([{**worker.pod, "status": worker.status} for worker in workers]))


def running_pods(workers: PodWorkers) -> web.Response:
    """As the runtime has them: names and images only."""
    items = []
    for worker in workers:
        if worker.view.running:
            meta = {key: worker.pod["metadata"].get(key) for key in ("name", "namespace", "uid")}
            found = [{"name": item.name, "image": item.image, "resources": {}} for item in worker.view.running]
            items.append({"metadata": meta, "spec": {"containers": found}, "status": {}})
    return json(_pod_list(items))


def _pod_list(items: list[Obj]) -> Obj:
    return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}


def json(body: Obj) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json")


def checkpoint(workers: PodWorkers, method: str, rest: list[str]) -> web.Response:
    """No runtime here can write down a running container (KEP-2008): it is refused, after what can be checked. Raises Refused."""
    if len(rest) != 3:
        raise Refused(404, NOT_FOUND)
    if method != "POST":
        raise Refused(405, "405: Method Not Allowed")
    namespace, name, container = rest
    worker = workers.find(namespace, name)
    if worker is None:
        raise Refused(404, "pod does not exist")
    if pods.find_container(worker.pod, container) is None:
        raise Refused(404, f"container {container} does not exist")
    why = "rpc error: code = Unimplemented desc = method CheckpointContainer not implemented"
    raise Refused(500, f"checkpointing of {namespace}/{name}/{container} failed ({why})")


async def node_log(request: web.BaseRequest, rest: list[str], folder: Path = LOGS) -> web.StreamResponse:
    """A file below /var/log, or what is in a directory there. Links lead where they lead. Raises Refused."""
    if ".." in rest:
        raise Refused(400, "invalid URL path")
    path = folder.joinpath(*rest)
    if path.is_dir():
        return web.Response(text=await asyncio.to_thread(_listing, path), content_type="text/html")
    if not path.is_file():
        raise Refused(404, NOT_FOUND)
    return web.FileResponse(path)


def _listing(path: Path) -> str:
    names = sorted(f"{each.name}/" if each.is_dir() else each.name for each in path.iterdir())
    lines = [f'<a href="{quote(name)}">{html.escape(name)}</a>\n' for name in names]
    return f'<!doctype html>\n<meta name="viewport" content="width=device-width">\n<pre>\n{"".join(lines)}</pre>\n'
