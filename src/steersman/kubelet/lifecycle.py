"""postStart and preStop hooks: exec, httpGet, sleep (upstream pkg/kubelet/lifecycle/handlers.go)."""

from __future__ import annotations

import json

import aiohttp

from steersman.cri.interface import Runtime, RuntimeFault
from steersman.kubelet import httpcheck
from steersman.kubelet.kit import Recorder
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj, name_of


class HookFailed(Exception):
    """What goes into the FailedPostStartHook or FailedPreStopHook log and the waiting message."""


async def run_hook(
    runtime: Runtime,
    reach: httpcheck.Reach,
    clock: Clock,
    recorder: Recorder,
    pod: Obj,
    spec: Obj,
    hook: Obj,
    container_id: str,
    pod_ip: str,
) -> None:
    """Run one hook to its end. Raises HookFailed."""
    who = f'for Container "{spec["name"]}" in Pod "{name_of(pod)}" failed - error: '
    if action := hook.get("exec"):
        command = action.get("command") or []
        lead = f"Exec lifecycle hook ({' '.join(command)}) {who}"
        try:
            done = await runtime.exec_sync(container_id, command, 0)
        except RuntimeFault as error:
            raise HookFailed(f'{lead}{error}, message: ""') from None
        if done.exit_code != 0:
            output = json.dumps((done.stdout + done.stderr).decode("utf-8", "replace"), ensure_ascii=False)
            words = f"command '{' '.join(command)}' exited with {done.exit_code}: "
            raise HookFailed(f"{lead}{words}{(done.stderr or done.stdout).decode('utf-8', 'replace')}, message: {output}")
    elif action := hook.get("httpGet"):
        lead = f"HTTP lifecycle hook ({action.get('path') or '/'}) {who}"
        try:
            url = httpcheck.url_of(action, spec, pod_ip)
            await _call(reach, recorder, pod, container_id, url, httpcheck.headers_of(action, httpcheck.LIFECYCLE_AGENT))
        except (ValueError, OSError, aiohttp.ClientError) as error:
            raise HookFailed(f'{lead}{error}, message: ""') from None
    elif action := hook.get("sleep"):
        await clock.sleep(float(action.get("seconds") or 0))


async def _call(
    reach: httpcheck.Reach, recorder: Recorder, pod: Obj, container_id: str, url: str, headers: list[tuple[str, str]]
) -> None:
    """Any answer will do: a hook is not about its status code. Hooks were once asked by HTTP, whatever their scheme."""
    try:
        await reach.get(container_id, url, headers)
    except httpcheck.PlainAnswer:
        address = url.removeprefix("https://")
        kept = [(name, value) for name, value in headers if name.lower() != "authorization"]
        try:
            await reach.get(container_id, f"http://{address}", kept)
        except (OSError, aiohttp.ClientError):
            raise httpcheck.PlainAnswer from None
        text = f"request to HTTPS lifecycle hook {address.partition('/')[0]} got HTTP response, retry with HTTP succeeded"
        recorder.event(pod, "Warning", "LifecycleHTTPFallback", text)
