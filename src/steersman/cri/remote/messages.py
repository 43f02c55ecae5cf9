"""Configurations of cri/messages.py as messages on the wire. Pure."""

from __future__ import annotations

from cri_api.v1 import api_pb2 as cri

from steersman.cri.messages import (
    ContainerConfig,
    Mount,
    NamespaceMode,
    Propagation,
    RegistryAuth,
    Resources,
    SandboxConfig,
    Security,
)

UID_LABEL = "io.kubernetes.pod.uid"
"""Upstream's label; every sandbox and container gets it, because it is what CRI can filter by."""
_PROPAGATION = {
    Propagation.PRIVATE: cri.PROPAGATION_PRIVATE,
    Propagation.HOST_TO_CONTAINER: cri.PROPAGATION_HOST_TO_CONTAINER,
    Propagation.BIDIRECTIONAL: cri.PROPAGATION_BIDIRECTIONAL,
}
_NAMESPACES = {
    NamespaceMode.POD: cri.POD,
    NamespaceMode.CONTAINER: cri.CONTAINER,
    NamespaceMode.NODE: cri.NODE,
    NamespaceMode.TARGET: cri.TARGET,
}
_PROTOCOLS = {"TCP": cri.TCP, "UDP": cri.UDP, "SCTP": cri.SCTP}


def sandbox(config: SandboxConfig) -> cri.PodSandboxConfig:
    security = cri.LinuxSandboxSecurityContext(
        namespace_options=cri.NamespaceOption(
            network=_NAMESPACES[config.network],
            pid=_NAMESPACES[config.pid],
            ipc=_NAMESPACES[config.ipc],
            userns_options=_user_namespace(config),
        ),
        run_as_user=_int(config.run_as_user),
        run_as_group=_int(config.run_as_group),
        supplemental_groups=config.supplemental_groups,
        privileged=config.privileged,
        seccomp=profile(config.seccomp),
    )
    ports = [
        cri.PortMapping(
            protocol=_PROTOCOLS.get(port.protocol.upper(), cri.TCP),
            container_port=port.container_port,
            host_port=port.host_port,
            host_ip=port.host_ip,
        )
        for port in config.port_mappings
    ]
    dns = config.dns
    return cri.PodSandboxConfig(
        metadata=cri.PodSandboxMetadata(name=config.name, uid=config.uid, namespace=config.namespace, attempt=config.attempt),
        # With the host's network the host's name is kept; the runtime refuses another one.
        hostname="" if config.network is NamespaceMode.NODE else config.hostname,
        log_directory=config.log_directory,
        dns_config=cri.DNSConfig(servers=dns.servers, searches=dns.searches, options=dns.options) if dns else None,
        port_mappings=ports,
        labels={**config.labels, UID_LABEL: config.uid},
        annotations=config.annotations,
        linux=cri.LinuxPodSandboxConfig(
            cgroup_parent=config.cgroup_parent,
            security_context=security,
            sysctls=config.sysctls,
            overhead=resources(config.overhead) if config.overhead else None,
        ),
    )


def container(config: ContainerConfig, pod: SandboxConfig) -> cri.ContainerConfig:
    return cri.ContainerConfig(
        metadata=cri.ContainerMetadata(name=config.name, attempt=config.attempt),
        image=cri.ImageSpec(image=config.image, user_specified_image=config.image_user_spec),
        command=config.command,
        args=config.args,
        working_dir=config.working_dir,
        envs=[cri.KeyValue(key=key, value=value) for key, value in config.envs],
        mounts=[_mount(mount, pod) for mount in config.mounts],
        devices=[
            cri.Device(container_path=each.container_path, host_path=each.host_path, permissions=each.permissions)
            for each in config.devices
        ],
        labels={**config.labels, UID_LABEL: pod.uid},
        annotations=config.annotations,
        log_path=config.log_path,
        stdin=config.stdin,
        stdin_once=config.stdin_once,
        tty=config.tty,
        linux=cri.LinuxContainerConfig(resources=resources(config.resources), security_context=_security(config.security, pod)),
        stop_signal=stop_signal(config.stop_signal),
    )


def resources(wanted: Resources) -> cri.LinuxContainerResources:
    """`pids_limit` has no field in CRI: the kubelet sets it on the pod's control group."""
    return cri.LinuxContainerResources(
        cpu_period=wanted.cpu_period if wanted.cpu_quota else 0,
        cpu_quota=wanted.cpu_quota,
        cpu_shares=wanted.cpu_shares,
        memory_limit_in_bytes=wanted.memory_limit,
        oom_score_adj=wanted.oom_score_adj,
        cpuset_cpus=wanted.cpuset_cpus,
        cpuset_mems=wanted.cpuset_mems,
        unified=dict(wanted.unified),
        hugepage_limits=[cri.HugepageLimit(page_size=size, limit=limit) for size, limit in wanted.huge_pages],
    )


def auth(wanted: RegistryAuth | None) -> cri.AuthConfig | None:
    if wanted is None:
        return None
    return cri.AuthConfig(
        username=wanted.username,
        password=wanted.password,
        identity_token=wanted.identity_token,
        registry_token=wanted.registry_token,
    )


def profile(text: str) -> cri.SecurityProfile:
    """A seccomp profile as interface.Security words it."""
    kind, _, path = text.partition(":")
    if kind == "Localhost":
        return cri.SecurityProfile(profile_type=cri.SecurityProfile.Localhost, localhost_ref=path)
    if kind == "RuntimeDefault":
        return cri.SecurityProfile(profile_type=cri.SecurityProfile.RuntimeDefault)
    return cri.SecurityProfile(profile_type=cri.SecurityProfile.Unconfined)


def stop_signal(name: str) -> cri.Signal.ValueType:
    """CRI writes SIGRTMIN+1 as SIGRTMINPLUS1. A name it does not know leaves the image's own."""
    known = name.replace("SIGRTMIN+", "SIGRTMINPLUS").replace("SIGRTMAX-", "SIGRTMAXMINUS")
    return cri.Signal.Value(known) if known in cri.Signal.DESCRIPTOR.values_by_name else cri.RUNTIME_DEFAULT


def _user_namespace(pod: SandboxConfig) -> cri.UserNamespace:
    if not pod.id_mappings:
        return cri.UserNamespace(mode=cri.NODE)
    return cri.UserNamespace(mode=cri.POD, uids=_mappings(pod), gids=_mappings(pod))


def _mappings(pod: SandboxConfig) -> list[cri.IDMapping]:
    return [cri.IDMapping(host_id=each.host_id, container_id=each.container_id, length=each.length) for each in pod.id_mappings]


def _mount(mount: Mount, pod: SandboxConfig) -> cri.Mount:
    return cri.Mount(
        container_path=mount.container_path,
        host_path=mount.host_path,
        readonly=mount.readonly,
        propagation=_PROPAGATION[mount.propagation],
        recursive_read_only=mount.recursive_read_only,
        image=cri.ImageSpec(image=mount.image) if mount.image else None,
        image_sub_path=mount.image_sub_path,
        uidMappings=_mappings(pod),
        gidMappings=_mappings(pod),
    )


def _security(wanted: Security, pod: SandboxConfig) -> cri.LinuxContainerSecurityContext:
    namespaces = cri.NamespaceOption(
        network=_NAMESPACES[pod.network],
        pid=_NAMESPACES[wanted.pid],
        ipc=_NAMESPACES[pod.ipc],
        target_id=wanted.target_id,
        userns_options=_user_namespace(pod),
    )
    return cri.LinuxContainerSecurityContext(
        capabilities=cri.Capability(add_capabilities=wanted.add_capabilities, drop_capabilities=wanted.drop_capabilities),
        privileged=wanted.privileged,
        namespace_options=namespaces,
        run_as_user=_int(wanted.run_as_user),
        run_as_group=_int(wanted.run_as_group),
        run_as_username=wanted.run_as_username,
        readonly_rootfs=wanted.readonly_rootfs,
        supplemental_groups=wanted.supplemental_groups,
        supplemental_groups_policy=cri.Strict if wanted.strict_groups else cri.Merge,
        no_new_privs=wanted.no_new_privs,
        masked_paths=wanted.masked_paths,
        readonly_paths=wanted.readonly_paths,
        seccomp=profile(wanted.seccomp),
        apparmor=_apparmor(wanted.apparmor),
        apparmor_profile=wanted.apparmor,
    )


def _apparmor(text: str) -> cri.SecurityProfile | None:
    if not text:
        return None
    kind, _, name = text.partition("/")
    kinds = {"runtime": cri.SecurityProfile.RuntimeDefault, "localhost": cri.SecurityProfile.Localhost}
    found = kinds.get(kind, cri.SecurityProfile.Unconfined)
    return cri.SecurityProfile(profile_type=found, localhost_ref=name if kind == "localhost" else "")


def _int(value: int | None) -> cri.Int64Value | None:
    return None if value is None else cri.Int64Value(value=value)
