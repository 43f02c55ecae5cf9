"""Validation of single volume sources, of pods and of persistent volumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from steersman.api.validation.common import Errors, child, needs, one_of, subdomain
from steersman.api.validation.container_env import VOLUME_FIELDS, field_ref, resource_field_ref
from steersman.api.validation.mounts import descending_path
from steersman.machinery import quantity
from steersman.machinery.fielderrors import forbidden, invalid, required, too_long
from steersman.machinery.meta import Obj

_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
_HOST_PATH_TYPES = ("BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
_MIN_TOKEN_SECONDS = 600
_MAX_TOKEN_SECONDS = 2**32
_CSI_DRIVER_LIMIT = 63

NEEDED: Mapping[str, tuple[str, ...]] = {
    "gcePersistentDisk": ("pdName",),
    "awsElasticBlockStore": ("volumeID",),
    "azureFile": ("secretName", "shareName"),
    "azureDisk": ("diskName", "diskURI"),
    "gitRepo": ("repository",),
    "glusterfs": ("endpoints", "path"),
    "rbd": ("monitors", "image"),
    "cephfs": ("monitors",),
    "cinder": ("volumeID",),
    "portworxVolume": ("volumeID",),
    "vsphereVolume": ("volumePath",),
    "photonPersistentDisk": ("pdID",),
    "quobyte": ("registry", "volume"),
    "scaleIO": ("gateway", "system", "volumeName"),
    "storageos": ("volumeName",),
    "image": ("reference",),
}
"""Sources of which only these fields are checked, all required."""


def mode(errors: Errors, path: str, value: int | None) -> None:
    if value is not None and not 0 <= value <= 0o777:
        errors.append(invalid(path, value, _MODE))


def _items(errors: Errors, path: str, source: Obj) -> None:
    """Default mode and key-to-path items of a secret or config map source."""
    mode(errors, f"{path}.defaultMode", source.get("defaultMode"))
    for index, item in enumerate(source.get("items") or ()):
        inner = f"{path}.items[{index}]"
        needs(errors, f"{inner}.key", item.get("key"))
        if needs(errors, f"{inner}.path", item.get("path")):
            descending_path(errors, f"{inner}.path", item["path"], reserved=False)
        mode(errors, f"{inner}.mode", item.get("mode"))


def _empty_dir(errors: Errors, path: str, source: Obj) -> None:
    limit = source.get("sizeLimit")
    if limit is not None and limit[:1] == "-" and quantity.parse(limit).milli < 0:
        errors.append(forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity"))


def host_path(errors: Errors, path: str, source: Obj) -> None:
    where = source.get("path") or ""
    if needs(errors, f"{path}.path", where) and ".." in where.split("/"):
        errors.append(invalid(f"{path}.path", where, "must not contain '..'"))
    one_of(errors, f"{path}.type", source.get("type"), ("", *_HOST_PATH_TYPES))


def _secret(errors: Errors, path: str, source: Obj) -> None:
    needs(errors, f"{path}.secretName", source.get("secretName"))
    _items(errors, path, source)


def _config_map(errors: Errors, path: str, source: Obj) -> None:
    needs(errors, f"{path}.name", source.get("name"))
    _items(errors, path, source)


def _downward_file(errors: Errors, path: str, item: Obj) -> None:
    if needs(errors, f"{path}.path", item.get("path")):
        descending_path(errors, f"{path}.path", item["path"], reserved=False)
    if item.get("fieldRef") is not None:
        field_ref(errors, f"{path}.fieldRef", item["fieldRef"], VOLUME_FIELDS)
        if item.get("resourceFieldRef") is not None:
            text = "fieldRef and resourceFieldRef can not be specified simultaneously"
            errors.append(invalid(path, "resource", text))
    elif item.get("resourceFieldRef") is not None:
        resource_field_ref(errors, f"{path}.resourceFieldRef", item["resourceFieldRef"], volume=True)
    else:
        errors.append(required(path, "one of fieldRef and resourceFieldRef is required"))
    mode(errors, f"{path}.mode", item.get("mode"))


def _downward_api(errors: Errors, path: str, source: Obj) -> None:
    mode(errors, f"{path}.defaultMode", source.get("defaultMode"))
    for item in source.get("items") or ():
        _downward_file(errors, path, item)


def _projected(errors: Errors, path: str, source: Obj) -> None:
    mode(errors, f"{path}.defaultMode", source.get("defaultMode"))
    paths: set[str] = set()
    for index, item in enumerate(source.get("sources") or ()):
        _projection(errors, path, f"{path}.sources[{index}]", item, paths)


def _projection(errors: Errors, path: str, inner: str, item: Obj, paths: set[str]) -> None:
    """One source of a projected volume. `paths`: those taken so far; a conflict is reported on the volume."""
    files: list[str] = []
    found = False
    for kind in ("secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate"):
        projection = item.get(kind)
        if projection is None:
            continue
        where = f"{inner}.{kind}"
        if found:
            errors.append(forbidden(where, "may not specify more than 1 volume type per source"))
            continue
        found = True
        if kind in ("secret", "configMap"):
            needs(errors, f"{where}.name", projection.get("name"))
            _items(errors, where, projection)
        elif kind == "downwardAPI":
            for file in projection.get("items") or ():
                _downward_file(errors, where, file)
        elif kind == "serviceAccountToken":
            _token(errors, path, where, projection)
        files += [file.get("path") or "" for file in projection.get("items") or ()] or [projection.get("path") or ""]
    for file in files:
        if file and file in paths:
            errors.append(invalid(path, "", f"conflicting duplicate paths: {file}"))
        paths.add(file)


def _token(errors: Errors, path: str, where: str, token: Obj) -> None:
    seconds = token.get("expirationSeconds", 0)
    if seconds < _MIN_TOKEN_SECONDS:
        text = "may not specify a duration less than 10 minutes"
        errors.append(invalid(f"{where}.expirationSeconds", seconds, text))
    elif seconds > _MAX_TOKEN_SECONDS:
        text = "may not specify a duration larger than 2^32 seconds"
        errors.append(invalid(f"{where}.expirationSeconds", seconds, text))
    needs(errors, f"{path}.path", token.get("path"))


def csi_driver(errors: Errors, path: str, name: str) -> None:
    if not name:
        errors.append(required(path))
        return
    if len(name) > _CSI_DRIVER_LIMIT:
        errors.append(too_long(path, _CSI_DRIVER_LIMIT))
    subdomain(errors, path, name.lower())


def _csi(errors: Errors, path: str, source: Obj) -> None:
    csi_driver(errors, f"{path}.driver", source.get("driver") or "")
    ref = source.get("nodePublishSecretRef")
    if ref is not None:
        needs(errors, f"{path}.nodePublishSecretRef.name", ref.get("name"))


def nfs(errors: Errors, path: str, source: Obj) -> None:
    needs(errors, f"{path}.server", source.get("server"))
    where = source.get("path") or ""
    if needs(errors, f"{path}.path", where) and not where.startswith("/"):
        errors.append(invalid(f"{path}.path", where, "must be an absolute path"))


def _lun(errors: Errors, path: str, value: int) -> None:
    if not 0 <= value <= 255:
        errors.append(invalid(path, value, "must be between 0 and 255, inclusive"))


def iscsi(errors: Errors, path: str, source: Obj) -> None:
    needs(errors, f"{path}.targetPortal", source.get("targetPortal"))
    name = source.get("iqn") or ""
    if needs(errors, f"{path}.iqn", name):
        if not name.startswith(("iqn", "eui", "naa")):
            errors.append(invalid(f"{path}.iqn", name, "must be valid format starting with iqn, eui, or naa"))
        elif not name[3:].startswith("."):
            errors.append(invalid(f"{path}.iqn", name, "must be valid format"))
    _lun(errors, f"{path}.lun", source.get("lun", 0))
    if (source.get("chapAuthDiscovery") or source.get("chapAuthSession")) and source.get("secretRef") is None:
        errors.append(required(f"{path}.secretRef"))


def fibre_channel(errors: Errors, path: str, source: Obj) -> None:
    targets, ids = source.get("targetWWNs"), source.get("wwids")
    if bool(targets) == bool(ids):
        errors.append(required(f"{path}.targetWWNs", "must specify either targetWWNs or wwids, but not both"))
    elif targets:
        if source.get("lun") is None:
            errors.append(required(f"{path}.lun", "lun is required if targetWWNs is specified"))
        else:
            _lun(errors, f"{path}.lun", source["lun"])


def flex(errors: Errors, path: str, source: Obj) -> None:
    needs(errors, f"{path}.driver", source.get("driver"))
    for key in source.get("options") or {}:
        namespace = key.partition("/")[0] if "/" in key else ""
        if namespace and (f".{namespace}".endswith(".kubernetes.io") or f".{namespace}".endswith(".k8s.io")):
            text = "kubernetes.io and k8s.io namespaces are reserved"
            errors.append(invalid(f"{path}.options[{key}]", key, text))


def _flocker(errors: Errors, path: str, source: Obj) -> None:
    if not source.get("datasetName") and not source.get("datasetUUID"):
        errors.append(required(path, "one of datasetName and datasetUUID is required"))
    elif source.get("datasetName") and source.get("datasetUUID"):
        errors.append(invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously"))


def _claim(errors: Errors, path: str, source: Obj) -> None:
    needs(errors, f"{path}.claimName", source.get("claimName"))


def needed(errors: Errors, path: str, source: Obj, keys: Sequence[str]) -> None:
    for key in keys:
        needs(errors, child(path, key), source.get(key))
    partition = source.get("partition", 0)
    if not 0 <= partition <= 255:
        errors.append(invalid(f"{path}.partition", partition, "must be between 1 and 255, inclusive"))


CHECKS: Mapping[str, Callable[[Errors, str, Obj], None]] = {
    "emptyDir": _empty_dir, "hostPath": host_path, "secret": _secret, "configMap": _config_map, "downwardAPI": _downward_api,
    "projected": _projected, "persistentVolumeClaim": _claim, "csi": _csi, "nfs": nfs, "iscsi": iscsi, "fc": fibre_channel,
    "flexVolume": flex, "flocker": _flocker,
}  # fmt: skip
"""Sources with rules of their own. `ephemeral` is checked by validation/volumes.py."""
