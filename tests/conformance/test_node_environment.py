"""[sig-node] ConfigMap, Secrets, Downward API, Variable Expansion, Security Context, Sysctls: what a process finds around it."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import pytest
from tests.conformance.objects import SLEEP, named, pod, service
from tests.conformance.space import Space, container_status, eventually
from tests.e2e.harness import ADDRESS

from steersman.api.resources import CONFIG_MAPS, NODES, PODS, SECRETS, SERVICES
from steersman.machinery import quantity
from steersman.machinery.errors import Invalid
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, uid_of

pytestmark = pytest.mark.root

NODE = "[NodeConformance] [Conformance]"
LINUX = "[LinuxOnly] [NodeConformance] [Conformance]"


def data(resource: Resource, values: dict[str, str]) -> Obj:
    if resource is SECRETS:
        values = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return named("data", data=values)


def kinds(config_map: str, secret: str) -> pytest.MarkDecorator:
    """One run for each of the two, under its own codename."""
    return pytest.mark.parametrize(
        ("resource", "ref"),
        [
            pytest.param(CONFIG_MAPS, "configMap", id="ConfigMap", marks=pytest.mark.conformance(config_map)),
            pytest.param(SECRETS, "secret", id="Secret", marks=pytest.mark.conformance(secret)),
        ],
    )


@kinds(
    f"[sig-node] ConfigMap should be consumable via environment variable {NODE}",
    f"[sig-node] Secrets should be consumable from pods in env vars {NODE}",
)
def test_a_value_is_an_environment_variable(space: Space, resource: Resource, ref: str) -> None:
    space.create(resource, data(resource, {"data-1": "value-1"}))
    env = [{"name": "GIVEN", "valueFrom": {f"{ref}KeyRef": {"name": "data", "key": "data-1"}}}]
    assert space.output(pod("echo $GIVEN", env=env)) == "value-1\n"


@kinds(
    f"[sig-node] ConfigMap should be consumable via the environment {NODE}",
    f"[sig-node] Secrets should be consumable via the environment {NODE}",
)
def test_all_values_are_environment_variables(space: Space, resource: Resource, ref: str) -> None:
    space.create(resource, data(resource, {"data_1": "value-1", "data_2": "value-2"}))
    env = [{f"{ref}Ref": {"name": "data"}}, {"prefix": "p-", f"{ref}Ref": {"name": "data"}}]
    said = space.output(pod(command=["env"], envFrom=env)).splitlines()
    assert {"data_1=value-1", "data_2=value-2", "p-data_1=value-1", "p-data_2=value-2"} <= set(said)


@kinds(
    "[sig-node] ConfigMap should be consumable as environment variable names with various prefixes [Conformance]",
    "[sig-node] Secrets should be consumable as environment variable names variable names with various prefixes [Conformance]",
)
def test_prefixes_of_any_printable_characters(space: Space, resource: Resource, ref: str) -> None:
    space.create(resource, data(resource, {"key": "value"}))
    prefixes = ("1-", "#@!$%^&()*", "a b", "P_")
    env = [{"prefix": prefix, f"{ref}Ref": {"name": "data"}} for prefix in prefixes]
    said = space.output(pod(command=["env"], envFrom=env)).splitlines()
    assert {f"{prefix}key=value" for prefix in prefixes} <= set(said)


@kinds(
    "[sig-node] ConfigMap should fail to create ConfigMap with empty key [Conformance]",
    "[sig-node] Secrets should fail to create secret due to empty secret key [Conformance]",
)
def test_an_empty_key_is_refused(space: Space, resource: Resource, ref: str) -> None:
    with pytest.raises(Invalid):
        space.create(resource, data(resource, {"": "value"}))


@pytest.mark.conformance(f"[sig-node] ConfigMap should update ConfigMap successfully {NODE}")
def test_a_config_map_is_updated(space: Space) -> None:
    made = space.create(CONFIG_MAPS, named("data"))
    made["data"] = {"data": "value"}
    space.update(CONFIG_MAPS, made)
    assert space.get(CONFIG_MAPS, "data")["data"] == {"data": "value"}


@kinds(
    "[sig-node] ConfigMap should run through a ConfigMap lifecycle [Conformance]",
    "[sig-node] Secrets should patch a secret [Conformance]",
)
def test_from_creation_to_deletion_by_label(space: Space, resource: Resource, ref: str) -> None:
    made = data(resource, {"key": "value"})
    made["metadata"]["labels"] = {"static": "true"}
    space.create(resource, made)
    change = {"metadata": {"labels": {"patched": "yes"}}, "data": data(resource, {"key": "value1"})["data"]}
    space.patch(resource, "data", change, kind="strategic")
    (found,) = (
        it for it in space.api.list(resource, label_selector="static=true")["items"] if it["metadata"]["namespace"] == space.name
    )
    assert found["data"] == change["data"] and found["metadata"]["labels"] == {"static": "true", "patched": "yes"}
    space.delete_collection(resource, "static=true")
    assert space.list(resource, "static=true") == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param(
            ["metadata.name", "metadata.namespace", "status.podIP"],
            "{name} {namespace} {ip}",
            marks=pytest.mark.conformance(
                f"[sig-node] Downward API should provide pod name, namespace and IP address as env vars {NODE}"
            ),
        ),
        pytest.param(
            ["status.hostIP"],
            ADDRESS,
            marks=pytest.mark.conformance(f"[sig-node] Downward API should provide host IP as an env var {NODE}"),
        ),
        pytest.param(
            ["status.hostIPs"],
            ADDRESS,
            marks=pytest.mark.conformance(f"[sig-node] Downward API should provide hostIPs as an env var {NODE}"),
        ),
        pytest.param(
            ["metadata.uid"],
            "{uid}",
            marks=pytest.mark.conformance(f"[sig-node] Downward API should provide pod UID as env vars {NODE}"),
        ),
    ],
)
def test_fields_of_the_pod_in_the_environment(space: Space, fields: list[str], said: str) -> None:
    env = [{"name": f"V{number}", "valueFrom": {"fieldRef": {"fieldPath": path}}} for number, path in enumerate(fields)]
    names = " ".join(f"$V{number}" for number in range(len(fields)))
    found = space.output(pod(f"echo {names}", name="downward", env=env))
    made = space.get(PODS, "downward")
    values = {"name": "downward", "namespace": space.name, "ip": made["status"]["podIP"], "uid": uid_of(made)}
    assert found == said.format(**values) + "\n"


RESOURCES = ("limits.cpu", "limits.memory", "requests.cpu", "requests.memory")
SHOW = "echo $limits_cpu $limits_memory $requests_cpu $requests_memory"


def resource_env() -> list[Obj]:
    return [{"name": it.replace(".", "_"), "valueFrom": {"resourceFieldRef": {"resource": it}}} for it in RESOURCES]


@pytest.mark.conformance(
    f"[sig-node] Downward API should provide container's limits.cpu/memory and requests.cpu/memory as env vars {NODE}"
)
def test_resources_in_the_environment(space: Space) -> None:
    resources = {"requests": {"cpu": "250m", "memory": "32Mi"}, "limits": {"cpu": "1250m", "memory": "64Mi"}}
    assert space.output(pod(SHOW, env=resource_env(), resources=resources)) == f"2 {64 << 20} 1 {32 << 20}\n"


@pytest.mark.conformance(f"[sig-node] Downward API should provide default limits.cpu/memory from node allocatable {NODE}")
def test_limits_are_the_nodes_by_default(space: Space) -> None:
    has = space.api.get(NODES, "node-1")["status"]["allocatable"]
    cpu, memory = quantity.value(has["cpu"]), quantity.value(has["memory"])
    assert space.output(pod(SHOW, env=resource_env())) == f"{cpu} {memory} 0 0\n"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param(
            {"command": ["sh", "-c", "echo $FOOBAR"], "env": [{"name": "FOOBAR", "value": "$(FOO);;$(BAR)"}]},
            "foo-value;;bar-value\n",
            marks=pytest.mark.conformance(
                f"[sig-node] Variable Expansion should allow composing env vars into new env vars {NODE}"
            ),
        ),
        pytest.param(
            {"command": ["sh", "-c", "echo '$(FOO)' '$$(FOO)' '$(NONE)'"]},
            "foo-value $(FOO) $(NONE)\n",
            marks=pytest.mark.conformance(
                f"[sig-node] Variable Expansion should allow substituting values in a container's command {NODE}"
            ),
        ),
        pytest.param(
            {"command": ["sh", "-c"], "args": ["echo $(FOO)"]},
            "foo-value\n",
            marks=pytest.mark.conformance(
                f"[sig-node] Variable Expansion should allow substituting values in a container's args {NODE}"
            ),
        ),
    ],
)
def test_variables_are_expanded(space: Space, fields: Any, said: str) -> None:
    env = [{"name": "FOO", "value": "foo-value"}, {"name": "BAR", "value": "bar-value"}, *fields.pop("env", ())]
    assert space.output(pod(**fields, env=env)) == said


def expanding(expression: str, script: str = SLEEP, annotation: str = "") -> Obj:
    """A pod that mounts an emptyDir whole at /whole, and at /v the path that the expression of POD_NAME and ANNOTATION means."""
    env = [
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "ANNOTATION", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['path']"}}},
    ]
    mounts = [{"name": "w", "mountPath": "/v", "subPathExpr": expression}, {"name": "w", "mountPath": "/whole"}]
    made = pod(script, name="expanding", spec={"volumes": [{"name": "w", "emptyDir": {}}]}, env=env, volumeMounts=mounts)
    made["metadata"]["annotations"] = {"path": annotation}
    return made


@pytest.mark.conformance("[sig-node] Variable Expansion should allow substituting values in a volume subpath [Conformance]")
def test_a_sub_path_is_expanded(space: Space) -> None:
    assert space.output(expanding("$(POD_NAME)", "test -d /whole/expanding && echo yes")) == "yes\n"


@pytest.mark.conformance("[sig-node] Variable Expansion should succeed in writing subpaths in container [Conformance]")
def test_what_is_written_to_a_sub_path_is_in_the_volume(space: Space) -> None:
    script = "touch /v/mine && ls /whole/my/expanding"
    assert space.output(expanding("my/$(POD_NAME)", script)) == "mine\n"
    space.delete(PODS, "expanding")
    space.gone(PODS, "expanding")


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        pytest.param(
            "..",
            "unable to provision SubPath `..`: must not contain '..'",
            marks=pytest.mark.conformance(
                "[sig-node] Variable Expansion should fail substituting values in a volume subpath with backticks [Conformance]"
            ),
        ),
        pytest.param(
            "/tmp",
            "error SubPath `/tmp` must not be an absolute path",
            marks=pytest.mark.conformance(
                "[sig-node] Variable Expansion should fail substituting values in a volume subpath with absolute path "
                "[Conformance]"
            ),
        ),
    ],
)
def test_a_bad_sub_path_keeps_the_container_from_starting(space: Space, annotation: str, message: str) -> None:
    space.create(PODS, expanding("$(ANNOTATION)", annotation=annotation))
    waits = {"reason": "CreateContainerConfigError", "message": message}
    space.until(PODS, "expanding", lambda it: container_status(it)["state"] == {"waiting": waits})


@pytest.mark.conformance(
    "[sig-node] Variable Expansion should verify that a failing subpath expansion can be modified during the lifecycle of a "
    "container [Slow] [Conformance]"
)
def test_a_bad_sub_path_can_be_mended(space: Space) -> None:
    space.create(PODS, expanding("$(ANNOTATION)", annotation="/bad"))
    space.until(PODS, "expanding", lambda it: container_status(it)["state"]["waiting"]["reason"] == "CreateContainerConfigError")
    space.patch(PODS, "expanding", {"metadata": {"annotations": {"path": "good"}}})
    space.until(PODS, "expanding", lambda it: it["status"]["phase"] == "Running")


@pytest.mark.conformance(f"[sig-node] Pods should contain environment variables for services {NODE}")
def test_services_are_in_the_environment(space: Space) -> None:
    made = space.create(SERVICES, service("fooservice", ports=[{"port": 8765, "targetPort": 8080}]))
    address = made["spec"]["clusterIP"]
    names = (f"pod-{number}" for number in itertools.count())

    def told() -> set[str]:
        said = space.output(pod("env", name=next(names))).splitlines()
        return {line for line in said if line.startswith("FOOSERVICE")}

    # The kubelet learns of the Service on its own way.
    assert eventually(told) >= {
        f"FOOSERVICE_SERVICE_HOST={address}",
        "FOOSERVICE_SERVICE_PORT=8765",
        f"FOOSERVICE_PORT=tcp://{address}:8765",
        "FOOSERVICE_PORT_8765_TCP_PORT=8765",
        "FOOSERVICE_PORT_8765_TCP_PROTO=tcp",
        f"FOOSERVICE_PORT_8765_TCP=tcp://{address}:8765",
        f"FOOSERVICE_PORT_8765_TCP_ADDR={address}",
    }


@pytest.mark.parametrize(
    ("pod_context", "context", "script", "said"),
    [
        pytest.param(
            {},
            {"runAsUser": 65534},
            "id -u",
            "65534\n",
            marks=pytest.mark.conformance(
                "[sig-node] Security Context When creating a container with runAsUser should run the container with uid 65534 "
                f"{LINUX}"
            ),
        ),
        pytest.param(
            {},
            {"runAsUser": 1001, "runAsGroup": 2002},
            "echo $(id -u):$(id -g)",
            "1001:2002\n",
            marks=pytest.mark.conformance(
                "[sig-node] Security Context should support container.SecurityContext.RunAsUser And "
                "container.SecurityContext.RunAsGroup [LinuxOnly] [Conformance]"
            ),
        ),
        pytest.param(
            {"runAsUser": 1001, "runAsGroup": 2002},
            {},
            "echo $(id -u):$(id -g)",
            "1001:2002\n",
            marks=pytest.mark.conformance(
                "[sig-node] Security Context should support pod.Spec.SecurityContext.RunAsUser And "
                "pod.Spec.SecurityContext.RunAsGroup [LinuxOnly] [Conformance]"
            ),
        ),
        pytest.param(
            {},
            {"privileged": False},
            "ip link add dummy1 type dummy 2>/dev/null || echo refused",
            "refused\n",
            marks=pytest.mark.conformance(
                "[sig-node] Security Context When creating a pod with privileged should run the container as unprivileged "
                f"when false {LINUX}"
            ),
        ),
        pytest.param(
            {},
            {"readOnlyRootFilesystem": False},
            "touch /checkfile && echo written",
            "written\n",
            marks=pytest.mark.conformance(
                "[sig-node] Security Context When creating a pod with readOnlyRootFilesystem should run the container with "
                f"writable rootfs when readOnlyRootFilesystem=false {NODE}"
            ),
        ),
        pytest.param(
            {},
            {"allowPrivilegeEscalation": False, "runAsUser": 1000},
            "id -u; grep NoNewPrivs /proc/self/status | tr -d '\\t'",
            "1000\nNoNewPrivs:1\n",
            marks=pytest.mark.conformance(
                "[sig-node] Security Context when creating containers with AllowPrivilegeEscalation should not allow privilege "
                f"escalation when false {LINUX}"
            ),
        ),
    ],
)
def test_the_security_context_holds(space: Space, pod_context: Obj, context: Obj, script: str, said: str) -> None:
    assert space.output(pod(script, spec={"securityContext": pod_context}, securityContext=context)) == said


@pytest.mark.conformance(
    "[sig-node] Sysctls [LinuxOnly] [NodeConformance] should support sysctls [Environment:NotInUserNS] [Conformance]"
)
def test_a_safe_sysctl_is_set(space: Space) -> None:
    context = {"sysctls": [{"name": "kernel.shm_rmid_forced", "value": "1"}]}
    assert space.output(pod("cat /proc/sys/kernel/shm_rmid_forced", spec={"securityContext": context})) == "1\n"


@pytest.mark.conformance("[sig-node] Sysctls [LinuxOnly] [NodeConformance] should reject invalid sysctls [Conformance]")
def test_names_that_are_no_sysctls_are_refused(space: Space) -> None:
    names = ("foo-", "kernel.shmmax", "safe-and-unsafe", "bar..")
    context = {"sysctls": [{"name": name, "value": "100000000"} for name in names]}
    with pytest.raises(Invalid) as refused:
        space.create(PODS, pod("true", spec={"securityContext": context}))
    wrong = [cause["field"] for cause in refused.value.causes]
    assert wrong == ["spec.securityContext.sysctls[0].name", "spec.securityContext.sysctls[3].name"]
