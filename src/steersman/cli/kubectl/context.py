"""What a verb works with: the server, the namespace, the streams. Made once per command line from the global flags.

The kubeconfig is read when a verb first asks for the server, so that help and purely local work need none.
Source: upstream cli-runtime genericclioptions ConfigFlags, client-go clientcmd overrides.
"""

from __future__ import annotations

import os
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TextIO
from urllib.parse import urlsplit

from steersman import KUBERNETES_VERSION
from steersman.cli.kubectl.errors import KubectlError, PlainError
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.machinery.clock import Clock, RealClock
from steersman.machinery.meta import Obj

if TYPE_CHECKING:
    from steersman.cli.kubectl.config import Target
    from steersman.cli.kubectl.mapping import Mapper
    from steersman.client.interface import Transport
    from steersman.client.rest import RestClient

FIELD_MANAGER = "kubectl"

GLOBAL_FLAGS = (
    Flag(
        "as", help="Username to impersonate for the operation. User could be a regular user or a service account in a namespace."
    ),
    Flag("as-group", "array", "Group to impersonate for the operation, this flag can be repeated to specify multiple groups."),
    Flag("as-uid", help="UID to impersonate for the operation."),
    Flag("cache-dir", help="Default cache directory"),
    Flag("certificate-authority", help="Path to a cert file for the certificate authority"),
    Flag("client-certificate", help="Path to a client certificate file for TLS"),
    Flag("client-key", help="Path to a client key file for TLS"),
    Flag("cluster", help="The name of the kubeconfig cluster to use"),
    Flag("context", help="The name of the kubeconfig context to use"),
    Flag("disable-compression", "bool", "If true, opt-out of response compression for all requests to the server"),
    Flag(
        "insecure-skip-tls-verify",
        "bool",
        "If true, the server's certificate will not be checked for validity. This will make your HTTPS connections insecure",
    ),
    Flag("kubeconfig", help="Path to the kubeconfig file to use for CLI requests."),
    Flag("log-flush-frequency", "duration", "Maximum number of seconds between log flushes", default=5.0),
    Flag("match-server-version", "bool", "Require server version to match client version"),
    Flag("namespace", short="n", help="If present, the namespace scope for this CLI request"),
    Flag("request-timeout", help="The length of time to wait before giving up on a single server request.", default="0"),
    Flag("server", short="s", help="The address and port of the Kubernetes API server"),
    Flag("tls-server-name", help="Server name to use for server certificate validation."),
    Flag("token", help="Bearer token for authentication to the API server"),
    Flag("user", help="The name of the kubeconfig user to use"),
    Flag("v", "int", "number for the log level verbosity", short="v"),
    Flag("warnings-as-errors", "bool", "Treat warnings received from the server as errors and exit with a non-zero exit code"),
)


class Context:
    """One command line's surroundings. `command` is the verb (`rollout status`), for messages.

    `shared`: the global flags, where the verb has flags of its own by the same names (`create rolebinding --user`).
    """

    def __init__(
        self,
        command: str,
        flags: Flags,
        shared: Flags | None = None,
        *,
        out: TextIO | None = None,
        err: TextIO | None = None,
        stdin: TextIO | None = None,
        clock: Clock | None = None,
        default_kubeconfig: Path | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.command, self.flags, self._shared = command, flags, shared or flags
        self.out, self.err, self.stdin = out or sys.stdout, err or sys.stderr, stdin or sys.stdin
        self.clock: Clock = clock or RealClock()
        self._default_kubeconfig, self._given_transport = default_kubeconfig, transport
        self.warnings = 0
        self._warned: set[str] = set()

    @cached_property
    def kubeconfig_paths(self) -> list[Path]:
        """The files that make up the configuration; the first one that exists is where `config` writes."""
        from steersman.client import kubeconfig

        if given := self._shared.text("kubeconfig"):
            return [Path(given)]
        if self._default_kubeconfig is not None and not os.environ.get("KUBECONFIG"):
            return [self._default_kubeconfig]
        return kubeconfig.default_paths()

    @cached_property
    def kubeconfig(self) -> Obj:
        """The merged files, as they are: without what the flags change."""
        from steersman.client import kubeconfig

        if (given := self._shared.text("kubeconfig")) and not os.path.exists(given):
            raise KubectlError(f"stat {given}: no such file or directory")
        try:
            return kubeconfig.read(*self.kubeconfig_paths)
        except kubeconfig.UnreadableError as error:
            raise KubectlError(f'error loading config file "{error.path}": {error.reason}') from None
        except kubeconfig.KubeconfigError as error:
            raise KubectlError(f"error loading config file: {error}") from None

    @cached_property
    def connection(self) -> Target:
        """Server and credentials after --context, --cluster, --user, --server, --token and the like."""
        from steersman.cli.kubectl.config import target

        return target(self.kubeconfig, self._shared)

    @cached_property
    def namespace(self) -> str:
        """--namespace, else the context's, else `default`."""
        return self._shared.text("namespace") or self.connection.namespace

    @property
    def namespace_set(self) -> bool:
        """Whether the command line names the namespace, which objects in files then may not contradict."""
        return bool(self._shared.text("namespace"))

    @property
    def server(self) -> str:
        """host:port, as messages name it."""
        parts = urlsplit(self.connection.server)
        return parts.netloc or self.connection.server

    @cached_property
    def client(self) -> RestClient:
        """The API's verbs. Warnings of the server are printed on stderr as they come."""
        return self.client_as(FIELD_MANAGER)

    def client_as(self, manager: str) -> RestClient:
        """The client with another name in managedFields (`kubectl-create`, `kubectl-edit` …; --field-manager)."""
        from steersman.client.rest import RestClient

        agent = f"kubectl/v{KUBERNETES_VERSION.removeprefix('v')} (steersman)"
        return RestClient(self._transport, user_agent=agent, field_manager=manager, on_warning=self.warn)

    @cached_property
    def impersonation(self) -> dict[str, str]:
        """The headers of --as and its kin, which go with every request."""
        return _impersonation(self._shared, self.connection.user)

    @cached_property
    def _transport(self) -> Transport:
        from steersman.cli.kubectl.transport import ToldTransport

        base = self._given_transport or self.connection.transport()
        return ToldTransport(base, self.server, headers=self.impersonation, timeout_s=self.request_timeout_s)

    @cached_property
    def request_timeout_s(self) -> float:
        """--request-timeout; 0 is no limit of ours."""
        from steersman.machinery import duration

        text = self._shared.text("request-timeout")
        try:
            return float(text) if text.isdecimal() else duration.parse_go(text)
        except ValueError:
            raise KubectlError(
                "Invalid timeout value. Timeout must be a single integer in seconds, "
                "or an integer followed by a corresponding time unit (e.g. 1s | 2m | 3h)"
            ) from None

    @cached_property
    def mapper(self) -> Mapper:
        from steersman.cli.kubectl.mapping import Mapper, cache_file

        return Mapper(self.client, self.clock, cache_file(self.cache_dir, self.connection.server))

    @cached_property
    def cache_dir(self) -> Path:
        given = self._shared.text("cache-dir") or os.environ.get("KUBECACHEDIR")
        return Path(given) if given else Path(os.environ.get("HOME") or "/root") / ".kube" / "cache"

    def print(self, text: str = "") -> None:
        """A line on stdout."""
        self.out.write(text + "\n")

    def complain(self, text: str) -> None:
        """A line on stderr. What was printed before comes out before it."""
        self.out.flush()
        self.err.write(text + "\n")

    def warn(self, text: str) -> None:
        """A warning of the server, once each."""
        if text not in self._warned:
            self._warned.add(text)
            self.warnings += 1
            self.complain(f"Warning: {text}")

    async def close(self) -> None:
        if "_transport" in self.__dict__:
            await self._transport.close()


def _impersonation(flags: Flags, user: str) -> dict[str, str]:
    """The headers of --as, --as-group, --as-uid; `user` is who asks."""
    wanted, groups, uid = flags.text("as"), flags.texts("as-group"), flags.text("as-uid")
    if (groups or uid) and not wanted:
        raise PlainError(f"error: requesting uid, groups or user-extra for {user} without impersonating a user")
    headers = {"Impersonate-User": wanted} if wanted else {}
    for number, group in enumerate(groups):
        # One header per group, and header names are equal whatever their case; a mapping's keys are not.
        letters = enumerate("impersonate-group")
        headers["".join(letter.upper() if number >> at & 1 else letter for at, letter in letters)] = group
    if uid:
        headers["Impersonate-Uid"] = uid
    return headers
