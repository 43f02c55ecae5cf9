"""The pod network by CNI plugins, for the native runtime: programs that a configuration names wire each pod up.

Takes the place of bridge.py when the node is told of a directory of configurations. The first valid one by name counts, as with
containerd; it is read anew for every pod, and while there is none the network is not ready. What a plugin made is written down,
so that it is undone by the same plugins, whatever the directory says by then.

Source: CNI specification 1.0.0 (and the results of 0.2.0 to 0.4.0); error texts of libcni and containerd.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from steersman.machinery import programs
from steersman.machinery.clock import Clock
from steersman.machinery.waiting import within
from steersman.network import links
from steersman.network.bridge import NetworkFault, PortMapping

log = logging.getLogger(__name__)

PLUGIN_DIRECTORIES = ("/opt/cni/bin", "/usr/lib/cni")
INTERFACE = "eth0"
_KINDS = (".conf", ".conflist", ".json")
_LIMIT_S = 120.0
_SHOWN = 500


class SandboxConfig(Protocol):
    """What this network reads of a sandbox's configuration."""

    @property
    def name(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def port_mappings(self) -> Sequence[PortMapping]: ...


@dataclass(frozen=True, slots=True)
class NetworkList:
    """A configuration: its plugins in the order of ADD."""

    name: str
    version: str
    plugins: tuple[Mapping[str, Any], ...]


class CniPlugins:
    """One per node. `directory`: for what was made; `plugin_dirs`: where the programs are."""

    def __init__(self, directory: Path, conf_dir: Path, clock: Clock, plugin_dirs: Sequence[str] = PLUGIN_DIRECTORIES) -> None:
        self._made, self._conf_dir, self._clock = directory / "cni-made", conf_dir, clock
        self._plugin_dirs = plugin_dirs
        self._told = ""

    async def set_pod_cidr(self, pod_cidr: str) -> None:
        """Not for us: the configuration says where addresses come from."""

    async def ready(self) -> str:
        try:
            self._configuration()
        except NetworkFault as fault:
            return f"Network plugin returns error: cni plugin not initialized: {fault}"
        return ""

    async def attach(self, sandbox_id: str, netns_path: str, config: SandboxConfig) -> tuple[str, ...]:
        """The pod's addresses. Raises NetworkFault; what was made until then is undone by detach()."""
        note = self._made / sandbox_id
        if note.exists() and (known := json.loads(note.read_text())).get("result"):
            return addresses(known["result"])
        chosen = self._configuration()
        self._made.mkdir(parents=True, exist_ok=True)
        ports = [_port(each) for each in config.port_mappings if each.host_port]
        args = {
            "IgnoreUnknown": "1",
            "K8S_POD_NAMESPACE": config.namespace,
            "K8S_POD_NAME": config.name,
            "K8S_POD_INFRA_CONTAINER_ID": sandbox_id,
            "K8S_POD_UID": config.uid,
        }
        made: dict[str, Any] = {
            "name": chosen.name,
            "version": chosen.version,
            "plugins": chosen.plugins,
            "ports": ports,
            "args": ";".join(f"{key}={value}" for key, value in args.items()),
        }
        _write(note, made)
        await asyncio.to_thread(links.loopback_up, netns_path)
        result: Any = None
        for plugin in chosen.plugins:
            result = await self._run("ADD", made, plugin, sandbox_id, netns_path, result) or result
        _write(note, {**made, "result": result or {}})
        found = addresses(result or {})
        if not found:
            raise NetworkFault(f'plugins of network "{chosen.name}" gave the pod no address')
        return found

    async def detach(self, sandbox_id: str, netns_path: str, config: SandboxConfig) -> None:
        """Raises NetworkFault."""
        note = self._made / sandbox_id
        if note.exists():
            await self._undo(note, netns_path)

    async def _undo(self, note: Path, netns_path: str) -> None:
        made = json.loads(note.read_text())
        # A namespace that went with a reboot is told to plugins as none: they give addresses back without it.
        netns_path = netns_path if os.path.exists(netns_path) else ""
        for plugin in reversed(made["plugins"]):
            await self._run("DEL", made, plugin, note.name, netns_path, made.get("result"))
        note.unlink(missing_ok=True)

    async def keep_only(self, sandbox_ids: Collection[str]) -> None:
        """Undo what was made for sandboxes that are no more. Raises NetworkFault."""
        for note in self._made.iterdir() if self._made.is_dir() else ():
            if not note.name.startswith(".") and note.name not in sandbox_ids:
                await self._undo(note, "")

    async def close(self) -> None:
        """Nothing is held."""

    def _configuration(self) -> NetworkList:
        """Raises NetworkFault."""
        found, complaints = read_first(self._conf_dir)
        told = "; ".join(complaints)
        if told and told != self._told:
            log.warning("CNI configuration left out error=%s", told)
        self._told = told
        if found is None:
            raise NetworkFault(told or f"no network config found in {self._conf_dir}")
        return found

    async def _run(
        self, command: str, made: Mapping[str, Any], plugin: Mapping[str, Any], sandbox_id: str, netns_path: str, result: Any
    ) -> Any:
        """One plugin's answer. Raises NetworkFault in libcni's words."""
        kind = str(plugin["type"])
        program = next((path for each in self._plugin_dirs if os.access(path := f"{each}/{kind}", os.X_OK)), None)
        if program is None:
            raise NetworkFault(f'failed to find plugin "{kind}" in path [{" ".join(self._plugin_dirs)}]')
        environment = {
            **os.environ,
            "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": sandbox_id,
            "CNI_NETNS": netns_path,
            "CNI_IFNAME": INTERFACE,
            "CNI_ARGS": made["args"],
            "CNI_PATH": ":".join(self._plugin_dirs),
        }
        request = plugin_request(made, plugin, result)
        code, out, err = await self._execute(program, environment, json.dumps(request).encode())
        if code == 0:
            try:
                return json.loads(out) if out.strip() else None
            except ValueError as error:
                raise NetworkFault(f'plugin type="{kind}" answered with no JSON: {out[:_SHOWN]!r}') from error
        text = complaint(out, err) or f"exit status {code}"
        raise NetworkFault(f'plugin type="{kind}" name="{made["name"]}" failed ({_VERBS[command]}): {text}')

    async def _execute(self, program: str, environment: Mapping[str, str], request: bytes) -> tuple[int, bytes, bytes]:
        outcome: programs.Outcome | None = None

        async def call() -> None:
            nonlocal outcome
            try:
                outcome = await programs.run([program], stdin=request, env=environment)
            except OSError as error:
                raise NetworkFault(f"{program} could not be started: {error}") from error

        if not await within(self._clock, _LIMIT_S, call) or outcome is None:
            raise NetworkFault(f"{program} did not end within {_LIMIT_S:g} s")
        return outcome.code, outcome.stdout, outcome.stderr


_VERBS = {"ADD": "add", "DEL": "delete"}


def read_first(conf_dir: Path) -> tuple[NetworkList | None, list[str]]:
    """The first valid configuration by name, and what is wrong with those before it."""
    complaints: list[str] = []
    names = sorted(each.name for each in conf_dir.iterdir() if each.suffix in _KINDS) if conf_dir.is_dir() else []
    for name in names:
        try:
            return parse((conf_dir / name).read_text()), complaints
        except (OSError, ValueError) as error:
            complaints.append(f"{conf_dir / name}: {error}")
    return None, complaints


def parse(text: str) -> NetworkList:
    """A list of plugins, or a single one as older configurations have it. Raises ValueError."""
    body = json.loads(text)
    if not isinstance(body, dict):
        raise ValueError("not a network configuration")
    plugins = body.get("plugins") if "plugins" in body else [body]
    if not isinstance(plugins, list) or not plugins:
        raise ValueError("no plugins in list")
    for plugin in plugins:
        kind = plugin.get("type") if isinstance(plugin, dict) else None
        if not isinstance(kind, str) or not kind or "/" in kind:
            raise ValueError("a plugin has no type")
    name, version = body.get("name"), body.get("cniVersion") or "0.2.0"
    if not isinstance(name, str) or not name or not isinstance(version, str):
        raise ValueError("no name")
    return NetworkList(name, version, tuple(plugins))


def plugin_request(made: Mapping[str, Any], plugin: Mapping[str, Any], result: Any) -> dict[str, Any]:
    """What one plugin reads: its own part, the network's name, what came before it, and what it says it is capable of."""
    request = {key: value for key, value in plugin.items() if key != "capabilities"}
    request |= {"name": made["name"], "cniVersion": made["version"]}
    if (plugin.get("capabilities") or {}).get("portMappings") and made["ports"]:
        request["runtimeConfig"] = {"portMappings": made["ports"]}
    if result:
        request["prevResult"] = result
    return request


def addresses(result: Mapping[str, Any]) -> tuple[str, ...]:
    """The addresses a result gives to the pod, IPv4 first."""
    found = [each["address"] for each in result.get("ips") or () if each.get("address")]
    # Version 0.2.0.
    found += [result[key]["ip"] for key in ("ip4", "ip6") if (result.get(key) or {}).get("ip")]
    plain = [each.partition("/")[0] for each in found]
    return tuple(sorted(plain, key=lambda address: ":" in address))


def complaint(out: bytes, err: bytes) -> str:
    """What a plugin that failed says: `message; details`, or whatever it printed."""
    try:
        told = json.loads(out)
        text = "; ".join(str(told[key]) for key in ("msg", "details") if told.get(key))
    except (ValueError, AttributeError):
        text = ""
    return text or (out + err).decode(errors="replace").strip()[:_SHOWN]


def _port(mapping: PortMapping) -> dict[str, Any]:
    return {
        "hostPort": mapping.host_port,
        "containerPort": mapping.container_port,
        "protocol": mapping.protocol.lower() or "tcp",
        "hostIP": mapping.host_ip,
    }


def _write(path: Path, content: Any) -> None:
    fresh = path.with_name(f".{path.name}")
    fresh.write_text(json.dumps(content))
    os.replace(fresh, path)
