"""Making an image without a registry or a builder: files of this machine and a config, written as an OCI layout tar.

For the images of examples and tests: busybox (Debian's busybox-static) and nginx (nginx-light with the libraries it needs).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import platform
import re
import subprocess
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from steersman.cri.native.manifests import MANIFESTS
from steersman.machinery.meta import Obj

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_BUSYBOX = "/bin/busybox"
_ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
    "www-data:x:33:33:www-data:/var/www:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\nwww-data:x:33:\n",
}


@dataclass(frozen=True, slots=True)
class Contents:
    """One layer. `copy`: path in the image -> file or directory here; `text`: path -> content; `links`: path -> target."""

    copy: Mapping[str, str] = field(default_factory=dict)
    text: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    directories: Sequence[str] = ()


def layer_tar(contents: Contents) -> bytes:
    """The layer as an uncompressed tar, the same bytes for the same input: owners root, times zero."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for directory in sorted(contents.directories):
            _add(tar, directory, tarfile.DIRTYPE, mode=0o1777 if directory.rstrip("/").endswith("tmp") else 0o755)
        for path, source in sorted(contents.copy.items()):
            _copy(tar, path, source)
        for path, text in sorted(contents.text.items()):
            _add(tar, path, tarfile.REGTYPE, data=text.encode(), mode=0o755 if text.startswith("#!") else 0o644)
        for path, target in sorted(contents.links.items()):
            _add(tar, path, tarfile.SYMTYPE, link=target)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, path: str, kind: bytes, *, data: bytes = b"", link: str = "", mode: int = 0o777) -> None:
    info = tarfile.TarInfo(path.strip("/"))
    info.type, info.size, info.linkname, info.mode = kind, len(data), link, mode
    tar.addfile(info, io.BytesIO(data))


def _copy(tar: tarfile.TarFile, path: str, source: str) -> None:
    if os.path.isdir(source):
        _add(tar, path, tarfile.DIRTYPE, mode=0o755)
        for name in sorted(os.listdir(source)):
            _copy(tar, f"{path}/{name}", f"{source}/{name}")
    else:
        with open(source, "rb") as file:
            _add(tar, path, tarfile.REGTYPE, data=file.read(), mode=os.stat(source).st_mode & 0o7777)


def write_image(path: str, name: str, layers: Iterable[bytes], config: Obj) -> str:
    """Write an OCI layout tar with one image called `name`. `config`: OCI's `config` object (Entrypoint, Cmd, Env ...). The
    image's id."""
    blobs: dict[str, bytes] = {}

    def blob(data: bytes, media_type: str) -> Obj:
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    diff_ids, descriptors = [], []
    for layer in layers:
        diff_ids.append(f"sha256:{hashlib.sha256(layer).hexdigest()}")
        packed = gzip.compress(layer, compresslevel=1, mtime=0)
        descriptors.append(blob(packed, "application/vnd.oci.image.layer.v1.tar+gzip"))
    machine = platform.machine()
    whole: Obj = {"architecture": _ARCHITECTURES.get(machine, machine), "os": "linux", "config": config}
    whole["rootfs"] = {"type": "layers", "diff_ids": diff_ids}
    config_blob = blob(orjson.dumps(whole), "application/vnd.oci.image.config.v1+json")
    manifest: Obj = {"schemaVersion": 2, "mediaType": MANIFESTS[0], "config": config_blob, "layers": descriptors}
    entry = blob(orjson.dumps(manifest), MANIFESTS[0])
    entry["annotations"] = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
    with tarfile.open(path, "w") as tar:
        _add(tar, "oci-layout", tarfile.REGTYPE, data=b'{"imageLayoutVersion":"1.0.0"}', mode=0o644)
        _add(tar, "index.json", tarfile.REGTYPE, data=orjson.dumps({"schemaVersion": 2, "manifests": [entry]}), mode=0o644)
        for digest, data in blobs.items():
            _add(tar, f"blobs/sha256/{digest}", tarfile.REGTYPE, data=data, mode=0o644)
    return str(config_blob["digest"])


def busybox_contents() -> Contents:
    """A root file system of busybox alone, every applet linked. Needs Debian's busybox-static (FileNotFoundError)."""
    applets = subprocess.run([_BUSYBOX, "--list"], capture_output=True, check=True, text=True).stdout.split()
    links = {f"bin/{name}": "busybox" for name in applets if name != "busybox"}
    return Contents(
        copy={"bin/busybox": _BUSYBOX},
        text=_ACCOUNTS,
        links=links,
        directories=("bin", "etc", "tmp", "root", "proc", "sys", "dev", "var", "run"),
    )


def build_busybox(path: str, name: str = "docker.io/library/busybox:latest") -> str:
    """Write the busybox image; its id."""
    return write_image(path, name, [layer_tar(busybox_contents())], {"Cmd": ["sh"], "Env": ["PATH=/bin"]})


_NGINX_CONF = """\
daemon off;
error_log /dev/stderr notice;
pid /run/nginx.pid;
events { worker_connections 512; }
http {
  include /etc/nginx/mime.types;
  access_log /dev/stdout;
  server { listen 80; root /usr/share/nginx/html; index index.html; }
}
"""
_NGINX_PAGE = (
    "<!DOCTYPE html>\n<html><head><title>Welcome to nginx!</title></head><body><h1>Welcome to nginx!</h1></body></html>\n"
)


def build_nginx(path: str, name: str = "docker.io/library/nginx:latest") -> str:
    """Write the nginx image over the busybox one; its id. Needs Debian's nginx-light (FileNotFoundError)."""
    program = "/usr/sbin/nginx"
    libraries = {library.lstrip("/"): library for library in shared_libraries(program)}
    # Accounts are looked up through these, which the program loads by itself.
    directory = os.path.dirname(next(library for library in libraries.values() if "libc.so" in library))
    for extra in ("libnss_files.so.2", "libnss_compat.so.2"):
        if os.path.exists(f"{directory}/{extra}"):
            libraries[f"{directory}/{extra}".lstrip("/")] = f"{directory}/{extra}"
    contents = Contents(
        copy={"usr/sbin/nginx": program, "etc/nginx/mime.types": "/etc/nginx/mime.types", **libraries},
        text={"etc/nginx/nginx.conf": _NGINX_CONF, "usr/share/nginx/html/index.html": _NGINX_PAGE},
        directories=("var/log/nginx", "var/lib/nginx", "run"),
    )
    config: Obj = {"Entrypoint": ["/usr/sbin/nginx"], "Env": ["PATH=/usr/sbin:/bin"], "StopSignal": "SIGQUIT"}
    config["ExposedPorts"] = {"80/tcp": {}}
    return write_image(path, name, [layer_tar(busybox_contents()), layer_tar(contents)], config)


def shared_libraries(program: str) -> list[str]:
    """The shared libraries a program loads, by ldd."""
    output = subprocess.run(["/usr/bin/ldd", program], capture_output=True, check=True, text=True).stdout
    return re.findall(r"(?:=> |^\s+)(/\S+) \(0x", output, flags=re.MULTILINE)
