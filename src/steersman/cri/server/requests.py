"""CRI's configurations as those of cri/messages.py: what remote/messages.py does, the other way round. Pure."""

from __future__ import annotations

from cri_api.v1 import api_pb2 as cri

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import (
    ContainerConfig,
    Device,
    DNSConfig,
    IdMapping,
    Mount,
    NamespaceMode,
    PortMapping,
    Propagation,
    RegistryAuth,
    Resources,
    SandboxConfig,
    Security,
)

_PROPAGATION = {
    cri.PROPAGATION_HOST_TO_CONTAINER: Propagation.HOST_TO_CONTAINER,
    cri.PROPAGATION_BIDIRECTIONAL: Propagation.BIDIRECTIONAL,
}
_DEFAULT_PERIOD = 100_000


def sandbox(config: cri.PodSandboxConfig) -> SandboxConfig:
    about, linux = config.metadata, config.linux
    security = linux.security_context
    spaces = security.namespace_options
    dns = config.dns_config
    return SandboxConfig(
        name=about.name,
        uid=about.uid,
        namespace=about.namespace,
        attempt=about.attempt,
        hostname=config.hostname,
        log_directory=config.log_directory,
        dns=DNSConfig(tuple(dns.servers), tuple(dns.searches), tuple(dns.options)) if config.HasField("dns_config") else None,
        port_mappings=tuple(
            PortMapping(cri.Protocol.Name(each.protocol), each.container_port, each.host_port, each.host_ip)
            for each in config.port_mappings
        ),
        labels=dict(config.labels),
        annotations=dict(config.annotations),
        cgroup_parent=linux.cgroup_parent,
        network=_namespace(spaces.network),
        pid=_namespace(spaces.pid),
        ipc=_namespace(spaces.ipc),
        sysctls=dict(linux.sysctls),
        run_as_user=security.run_as_user.value if security.HasField("run_as_user") else None,
        run_as_group=security.run_as_group.value if security.HasField("run_as_group") else None,
        supplemental_groups=tuple(security.supplemental_groups),
        seccomp=_profile(security.seccomp) if security.HasField("seccomp") else "Unconfined",
        privileged=security.privileged,
        overhead=resources(linux.overhead) if linux.HasField("overhead") else None,
        id_mappings=_mappings(spaces.userns_options),
    )


def _mappings(wanted: cri.UserNamespace) -> tuple[IdMapping, ...]:
    if wanted.mode != cri.POD or not wanted.uids:
        return ()
    if list(wanted.uids) != list(wanted.gids):
        raise RuntimeFault("user and group ids must be mapped alike")
    return tuple(IdMapping(each.container_id, each.host_id, each.length) for each in wanted.uids)


def container(config: cri.ContainerConfig) -> ContainerConfig:
    return ContainerConfig(
        name=config.metadata.name,
        image=config.image.image,
        attempt=config.metadata.attempt,
        image_user_spec=config.image.user_specified_image,
        command=tuple(config.command),
        args=tuple(config.args),
        working_dir=config.working_dir,
        envs=tuple((each.key, each.value) for each in config.envs),
        mounts=tuple(_mount(each) for each in config.mounts),
        devices=tuple(Device(each.container_path, each.host_path, each.permissions or "mrw") for each in config.devices),
        labels=dict(config.labels),
        annotations=dict(config.annotations),
        log_path=config.log_path,
        stdin=config.stdin,
        stdin_once=config.stdin_once,
        tty=config.tty,
        resources=resources(config.linux.resources),
        security=_security(config.linux.security_context),
        stop_signal=stop_signal(config.stop_signal),
    )


def resources(wanted: cri.LinuxContainerResources) -> Resources:
    return Resources(
        cpu_shares=wanted.cpu_shares,
        cpu_quota=wanted.cpu_quota,
        cpu_period=wanted.cpu_period or _DEFAULT_PERIOD,
        memory_limit=wanted.memory_limit_in_bytes,
        oom_score_adj=wanted.oom_score_adj,
        cpuset_cpus=wanted.cpuset_cpus,
        unified=tuple(sorted(wanted.unified.items())),
        cpuset_mems=wanted.cpuset_mems,
        huge_pages=tuple((each.page_size, each.limit) for each in wanted.hugepage_limits),
    )


def auth(given: cri.AuthConfig) -> RegistryAuth:
    return RegistryAuth(
        username=given.username,
        password=given.password,
        identity_token=given.identity_token,
        registry_token=given.registry_token,
    )


def stop_signal(given: cri.Signal.ValueType) -> str:
    """Empty for the image's own."""
    if given == cri.RUNTIME_DEFAULT:
        return ""
    return cri.Signal.Name(given).replace("SIGRTMINPLUS", "SIGRTMIN+").replace("SIGRTMAXMINUS", "SIGRTMAX-")


def _namespace(mode: cri.NamespaceMode.ValueType) -> NamespaceMode:
    return NamespaceMode(cri.NamespaceMode.Name(mode))


def _mount(mount: cri.Mount) -> Mount:
    return Mount(
        container_path=mount.container_path,
        host_path=mount.host_path,
        readonly=mount.readonly,
        propagation=_PROPAGATION.get(mount.propagation, Propagation.PRIVATE),
        recursive_read_only=mount.recursive_read_only,
        image=mount.image.image,
        image_sub_path=mount.image_sub_path,
    )


def _security(given: cri.LinuxContainerSecurityContext) -> Security:
    return Security(
        run_as_user=given.run_as_user.value if given.HasField("run_as_user") else None,
        run_as_username=given.run_as_username,
        run_as_group=given.run_as_group.value if given.HasField("run_as_group") else None,
        supplemental_groups=tuple(given.supplemental_groups),
        strict_groups=given.supplemental_groups_policy == cri.Strict,
        privileged=given.privileged,
        add_capabilities=tuple(given.capabilities.add_capabilities),
        drop_capabilities=tuple(given.capabilities.drop_capabilities),
        readonly_rootfs=given.readonly_rootfs,
        no_new_privs=given.no_new_privs,
        seccomp=_profile(given.seccomp) if given.HasField("seccomp") else "Unconfined",
        apparmor=_apparmor(given),
        masked_paths=tuple(given.masked_paths),
        readonly_paths=tuple(given.readonly_paths),
        pid=_namespace(given.namespace_options.pid),
        target_id=given.namespace_options.target_id,
    )


def _profile(given: cri.SecurityProfile) -> str:
    if given.profile_type == cri.SecurityProfile.Localhost:
        return f"Localhost:{given.localhost_ref}"
    return "RuntimeDefault" if given.profile_type == cri.SecurityProfile.RuntimeDefault else "Unconfined"


def _apparmor(given: cri.LinuxContainerSecurityContext) -> str:
    """In the words of the older field, which a client may have left out."""
    if given.apparmor_profile or not given.HasField("apparmor"):
        return given.apparmor_profile
    if given.apparmor.profile_type == cri.SecurityProfile.Localhost:
        return f"localhost/{given.apparmor.localhost_ref}"
    return "runtime/default" if given.apparmor.profile_type == cri.SecurityProfile.RuntimeDefault else "unconfined"
