"""Which objects of its namespace a pod refers to, and which Secrets a volume's driver needs. Pure.

Used by the node authorizer (may the pod's node read them?), by admission (a mirror pod must have no such references) and by the
kubelet (nor must a static pod).
"""

from __future__ import annotations

from collections.abc import Iterator

from steersman.api.resources import CONFIG_MAPS, PERSISTENT_VOLUME_CLAIMS, SECRETS, SERVICE_ACCOUNTS
from steersman.machinery.meta import Obj, annotations_of, dig, name_of, namespace_of

MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
_SECRET_REF_DRIVERS = ("cephfs", "cinder", "flexVolume", "rbd", "scaleIO", "storageos", "iscsi")
_CSI_SECRETS = ("controllerPublishSecretRef", "nodePublishSecretRef", "nodeStageSecretRef", "controllerExpandSecretRef",
                "nodeExpandSecretRef")  # fmt: skip


def refers(pod: Obj, plural: str, name: str) -> bool:
    """Whether the pod refers to the object `name` of its own namespace. Mirror pods refer to nothing."""
    if MIRROR_ANNOTATION in annotations_of(pod):
        return False
    if plural == SERVICE_ACCOUNTS.plural:
        return bool(dig(pod, "spec", "serviceAccountName") == name)
    if plural == SECRETS.plural:
        return name in secrets(pod)
    if plural == CONFIG_MAPS.plural:
        return name in config_maps(pod)
    if plural == PERSISTENT_VOLUME_CLAIMS.plural:
        return name in claims(pod)
    return plural == "resourceclaims" and name in resource_claims(pod)


def secrets(pod: Obj) -> set[str]:
    """Names of Secrets: pull secrets, environment, volumes."""
    spec = pod.get("spec") or {}
    found = {ref.get("name") or "" for ref in spec.get("imagePullSecrets") or ()}
    found |= set(_environment(spec, "secretRef", "secretKeyRef"))
    for volume in spec.get("volumes") or ():
        found.add(dig(volume, "secret", "secretName", default=""))
        found.add(dig(volume, "azureFile", "secretName", default=""))
        found.add(dig(volume, "csi", "nodePublishSecretRef", "name", default=""))
        found |= {dig(volume, driver, "secretRef", "name", default="") for driver in _SECRET_REF_DRIVERS}
        found |= set(_projected(volume, "secret"))
    return found - {""}


def config_maps(pod: Obj) -> set[str]:
    spec = pod.get("spec") or {}
    found = set(_environment(spec, "configMapRef", "configMapKeyRef"))
    for volume in spec.get("volumes") or ():
        found.add(dig(volume, "configMap", "name", default=""))
        found |= set(_projected(volume, "configMap"))
    return found - {""}


def claims(pod: Obj) -> set[str]:
    """Names of PersistentVolumeClaims; a generic ephemeral volume's claim is named after pod and volume."""
    found = set()
    for volume in dig(pod, "spec", "volumes", default=()):
        found.add(dig(volume, "persistentVolumeClaim", "claimName", default=""))
        if volume.get("ephemeral") is not None:
            found.add(f"{name_of(pod)}-{volume.get('name')}")
    return found - {""}


def resource_claims(pod: Obj) -> set[str]:
    asked = {claim.get("resourceClaimName") or "" for claim in dig(pod, "spec", "resourceClaims", default=())}
    made = {claim.get("resourceClaimName") or "" for claim in dig(pod, "status", "resourceClaimStatuses", default=())}
    return (asked | made) - {""}


def api_reference(pod: Obj) -> str:
    """The kind of API objects that the pod needs, or ''. A static pod starts before there is an API server to ask."""
    spec = pod.get("spec") or {}
    if spec.get("serviceAccountName"):
        return "serviceaccounts"
    if secrets(pod):
        return "secrets"
    if config_maps(pod):
        return "configmaps"
    if spec.get("resourceClaims"):
        return "resourceclaims"
    for volume in spec.get("volumes") or ():
        sources = dig(volume, "projected", "sources", default=None) or ()
        if volume.get("csi") is not None:
            return "csidrivers"
        if volume.get("glusterfs") is not None:
            return "endpoints"
        if volume.get("persistentVolumeClaim") is not None or volume.get("ephemeral") is not None:
            return "persistentvolumeclaims"
        if any(source.get("clusterTrustBundle") is not None for source in sources):
            return "clustertrustbundles"
        if any(source.get("serviceAccountToken") is not None for source in sources):
            return "serviceaccounts"
    return ""


def token_audiences(pod: Obj) -> set[str]:
    """Audiences of the pod's projected service account tokens; "" is the API server's own."""
    return {
        dig(source, "serviceAccountToken", "audience", default="")
        for volume in dig(pod, "spec", "volumes", default=())
        for source in dig(volume, "projected", "sources", default=())
        if source.get("serviceAccountToken") is not None
    }


def volume_secrets(volume: Obj) -> set[tuple[str, str]]:
    """(namespace, name) of the Secrets a PersistentVolume's driver needs."""
    spec = volume.get("spec") or {}
    claim_namespace = dig(spec, "claimRef", "namespace", default="")
    found = set()
    for driver in (*_SECRET_REF_DRIVERS, "azureFile"):
        source = spec.get(driver) or {}
        ref = source.get("secretRef") or {"name": source.get("secretName"), "namespace": source.get("secretNamespace")}
        if ref.get("name"):
            found.add((ref.get("namespace") or claim_namespace, ref["name"]))
    for key in _CSI_SECRETS:
        ref = dig(spec, "csi", key, default={})
        if ref.get("name"):
            found.add((namespace_of({"metadata": ref}), ref["name"]))
    return found


def _environment(spec: Obj, whole: str, key: str) -> Iterator[str]:
    for part in ("containers", "initContainers", "ephemeralContainers"):
        for container in spec.get(part) or ():
            for source in container.get("envFrom") or ():
                yield dig(source, whole, "name", default="")
            for variable in container.get("env") or ():
                yield dig(variable, "valueFrom", key, "name", default="")


def _projected(volume: Obj, source: str) -> Iterator[str]:
    for item in dig(volume, "projected", "sources", default=()):
        yield dig(item, source, "name", default="")
