"""An API server of wardle.example.com/v1alpha1 with one kind, Flunder, run inside a pod by test_aggregator.py.

Argument: the folder with its account's token, the cluster's CA (ca.crt) and its own certificate (tls.crt, tls.key). It believes
those whom the ConfigMap extension-apiserver-authentication tells it to believe, and keeps its objects in memory.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import sys
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Obj = dict[str, Any]
GROUP, VERSION, KIND = "wardle.example.com", "v1alpha1", "Flunder"
ROOT = f"/apis/{GROUP}/{VERSION}"
VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update"]
RESOURCE = {"name": "flunders", "singularName": "flunder", "namespaced": True, "kind": KIND, "verbs": VERBS}
LISTED = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{VERSION}", "resources": [RESOURCE]}


def trust(folder: Path) -> dict[str, str]:
    """What the cluster's API server says of itself."""
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])
    connection = http.client.HTTPSConnection(host, port, context=context, timeout=10)
    target = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
    connection.request("GET", target, headers={"Authorization": f"Bearer {(folder / 'token').read_text()}"})
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 200, text
    found: dict[str, str] = json.loads(text)["data"]
    return found


def refusal(code: int, reason: str) -> tuple[int, Obj]:
    return code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": reason, "code": code}


class Flunders:
    """The objects, by namespace and name. One thread at a time is not looked after: nobody here writes at once."""

    def __init__(self) -> None:
        self._objects: dict[tuple[str, str], Obj] = {}
        self._version = 0

    def serve(self, method: str, namespace: str, name: str, body: Obj, user: str) -> tuple[int, Obj]:
        if not name:
            return self._many(method, namespace, body, user)
        found = self._objects.get((namespace, name))
        if found is None:
            return refusal(404, "NotFound")
        if method == "DELETE":
            del self._objects[namespace, name]
            return 200, found
        if method == "GET":
            return 200, found
        if method == "PUT":
            body["metadata"] = {**found["metadata"], **body["metadata"]}
            return 200, self._keep(body)
        labels = {**(found["metadata"].get("labels") or {}), **((body.get("metadata") or {}).get("labels") or {})}
        return 200, self._keep({**found, **body, "metadata": {**found["metadata"], "labels": labels}})

    def _many(self, method: str, namespace: str, body: Obj, user: str) -> tuple[int, Obj]:
        if method == "POST":
            metadata = body["metadata"]
            if (namespace, metadata["name"]) in self._objects:
                return refusal(409, "AlreadyExists")
            annotations = {**(metadata.get("annotations") or {}), "made-by": user}
            metadata |= {"namespace": namespace, "uid": str(uuid.uuid4()), "annotations": annotations}
            return 201, self._keep(body)
        found = [obj for (place, _), obj in self._objects.items() if namespace in ("", place)]
        if method == "DELETE":
            self._objects = {key: obj for key, obj in self._objects.items() if namespace not in ("", key[0])}
        listed = {"resourceVersion": str(self._version)}
        return 200, {"kind": f"{KIND}List", "apiVersion": f"{GROUP}/{VERSION}", "metadata": listed, "items": found}

    def _keep(self, obj: Obj) -> Obj:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        self._objects[obj["metadata"]["namespace"], obj["metadata"]["name"]] = obj
        return obj


class Server(ThreadingHTTPServer):
    def server_bind(self) -> None:
        """Without asking DNS for its own name: the machine's servers cannot be reached from a pod."""
        TCPServer.server_bind(self)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    flunders = Flunders()
    trusted: frozenset[str]

    def _serve(self) -> None:
        code, obj = self._answer(urlsplit(self.path).path)
        body = json.dumps(obj).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _answer(self, path: str) -> tuple[int, Obj]:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if path == "/readyz":
            return 200, {}
        connection = self.connection
        assert isinstance(connection, ssl.SSLSocket)
        subject = (connection.getpeercert() or {}).get("subject") or ()
        names = {item[1] for part in subject for item in part if item[0] == "commonName"}
        user = self.headers.get("X-Remote-User")
        if not (names & self.trusted and user):
            return refusal(401, "Unauthorized")
        if path == ROOT:
            return 200, LISTED
        parts = path.removeprefix(f"{ROOT}/").split("/")
        namespace = parts[1] if parts[0] == "namespaces" else ""
        parts = parts[2:] if namespace else parts
        if not path.startswith(f"{ROOT}/") or parts[0] != "flunders":
            return refusal(404, "NotFound")
        asker = f"{user} of {','.join(self.headers.get_all('X-Remote-Group') or ())}"
        given = json.loads(body) if body and self.command != "DELETE" else {}
        # A dry run is not kept: nobody here asks for one.
        assert not parse_qs(urlsplit(self.path).query).get("dryRun")
        return self.flunders.serve(self.command, namespace, "/".join(parts[1:]), given, asker)


def main(folder: Path) -> None:
    told = trust(folder)
    Handler.trusted = frozenset(json.loads(told["requestheader-allowed-names"]))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=told["requestheader-client-ca-file"])
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    server = Server(("0.0.0.0", 8443), Handler)
    # The handshake is a matter of each connection's thread.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
