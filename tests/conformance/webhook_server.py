"""Admission webhooks over HTTPS on port 8444, run inside a pod by test_admission_webhook_services.py.

Argument: the folder with their certificate (tls.crt, tls.key). By path: /always-deny, /always-allow-delay-5s, /configmaps and
/pods/attach refuse what offends, /mutating-configmaps adds a key.
"""

from __future__ import annotations

import base64
import json
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any

Obj = dict[str, Any]
PORT = 8444


def denied(message: str) -> Obj:
    return {"allowed": False, "status": {"metadata": {}, "message": message}}


def config_maps(request: Obj) -> Obj:
    obj = request["oldObject"] if request["operation"] == "DELETE" else request["object"]
    if (obj.get("data") or {}).get("webhook-e2e-test") == "webhook-disallow":
        return denied("the configmap contains unwanted key and value")
    return {"allowed": True}


def attaching(request: Obj) -> Obj:
    assert request["resource"] == {"group": "", "version": "v1", "resource": "pods"} and request["subResource"] == "attach"
    options = request["object"]
    assert (options["kind"], options["apiVersion"]) == ("PodAttachOptions", "v1")
    if options.get("stdin") and options.get("container") == "main":
        return denied(f"attaching to pod '{request['name']}' is not allowed")
    return {"allowed": True}


def changing(request: Obj) -> Obj:
    patch = json.dumps([{"op": "add", "path": "/data/mutation-stage-1", "value": "yes"}]).encode()
    return {"allowed": True, "patchType": "JSONPatch", "patch": base64.b64encode(patch).decode()}


def slowly(request: Obj) -> Obj:
    threading.Event().wait(5)
    return {"allowed": True}


ANSWERS = {
    "/always-deny": lambda request: denied("this webhook denies all requests"),
    "/always-allow-delay-5s": slowly,
    "/configmaps": config_maps,
    "/mutating-configmaps": changing,
    "/pods/attach": attaching,
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(b"ok")

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.headers["Content-Type"] == "application/json"
        response = ANSWERS[self.path.partition("?")[0]](review["request"]) | {"uid": review["request"]["uid"]}
        self.answer(json.dumps({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response}).encode())

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    def server_bind(self) -> None:
        """Without asking for the host's name: nobody might answer."""
        TCPServer.server_bind(self)


def main(folder: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(folder) / "tls.crt", Path(folder) / "tls.key")
    server = Server(("", PORT), Handler)
    # Hands are shaken in the thread of the connection, so that nobody waits for somebody who only knocks.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
