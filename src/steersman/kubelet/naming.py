"""A pod's names inside: hostname, /etc/hosts, DNS settings. Pure; text in, text out.

Source: upstream pkg/kubelet/kubelet_pods.go, pkg/kubelet/network/dns/dns.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from steersman.cri.messages import DNSConfig
from steersman.kubelet import pods
from steersman.machinery.meta import Obj, dig, name_of, namespace_of

MAX_SERVERS, MAX_SEARCHES, MAX_SEARCH_CHARACTERS = 3, 32, 2048

_HEAD = """# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
"""
_HOST_HEAD = "# Kubernetes-managed hosts file (host network).\n"


def hostname(pod: Obj) -> str:
    """The short host name."""
    spec = pod.get("spec") or {}
    chosen = spec.get("hostnameOverride") or spec.get("hostname") or name_of(pod)
    return str(chosen)[:63].rstrip("-.")


def host_domain(pod: Obj, cluster_domain: str) -> str:
    """`<subdomain>.<ns>.svc.<domain>`, or '' without a subdomain."""
    subdomain = dig(pod, "spec", "subdomain", default="")
    if not subdomain or dig(pod, "spec", "hostnameOverride", default=""):
        return ""
    return f"{subdomain}.{namespace_of(pod)}.svc.{cluster_domain}"


def kernel_hostname(pod: Obj, cluster_domain: str) -> str:
    """What `hostname` prints: the FQDN if setHostnameAsFQDN. Raises ValueError if that is too long."""
    short, domain = hostname(pod), host_domain(pod, cluster_domain)
    if not dig(pod, "spec", "setHostnameAsFQDN", default=False) or not domain:
        return short
    full = f"{short}.{domain}"
    if len(full) > 64:
        raise ValueError(
            "failed to construct FQDN from pod hostname and cluster domain, FQDN "
            f"{full} is too long (64 characters is the max, {len(full)} characters requested)"
        )
    return full


def hosts_file(pod: Obj, pod_ips: Sequence[str], cluster_domain: str, node_hosts: str = "") -> str:
    """The text of /etc/hosts. node_hosts: the node's own file, used with host network."""
    if pods.is_host_network(pod):
        text = _HOST_HEAD + node_hosts
    else:
        short, domain = hostname(pod), host_domain(pod, cluster_domain)
        names = f"{short}.{domain}\t{short}" if domain else short
        text = _HEAD + "".join(f"{ip}\t{names}\n" for ip in pod_ips)
    aliases = dig(pod, "spec", "hostAliases", default=None) or ()
    if aliases:
        text += "\n# Entries added by HostAliases.\n"
        text += "".join("\t".join([alias["ip"], *(alias.get("hostnames") or ())]) + "\n" for alias in aliases)
    return text


@dataclass(slots=True)
class ResolvConf:
    """The parts of a resolv.conf."""

    servers: list[str] = field(default_factory=list)
    searches: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)


def parse_resolv_conf(text: str) -> ResolvConf:
    found = ResolvConf()
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0].startswith(("#", ";")):
            continue
        if words[0] == "nameserver":
            found.servers.append(words[1])
        elif words[0] == "search":
            found.searches = [word if word == "." else word.rstrip(".") for word in words[1:]]
        elif words[0] == "options":
            found.options += words[1:]
    return found


def dns_config(pod: Obj, host: ResolvConf, cluster_dns: Sequence[str], domain: str) -> tuple[DNSConfig, list[tuple[str, str]]]:
    """(the sandbox's DNS settings, warnings as (event reason, message))."""
    warnings: list[tuple[str, str]] = []
    policy = dig(pod, "spec", "dnsPolicy", default="ClusterFirst")
    cluster = policy == "ClusterFirstWithHostNet" or (policy == "ClusterFirst" and not pods.is_host_network(pod))
    made = ResolvConf(list(host.servers), list(host.searches), list(host.options))
    if policy == "None":
        made = ResolvConf()
    elif cluster and not cluster_dns:
        text = "kubelet does not have ClusterDNS IP configured and cannot create Pod using"
        text = f'pod: "{pods.full_name(pod)}". {text} "{policy}" policy. Falling back to "Default" policy.'
        warnings.append(("MissingClusterDNS", text))
    elif cluster:
        own = [f"{namespace_of(pod)}.svc.{domain}", f"svc.{domain}", domain] if domain else []
        made = ResolvConf(list(cluster_dns), list(dict.fromkeys(own + host.searches)), ["ndots:5"])
    _append_custom(made, dig(pod, "spec", "dnsConfig", default=None) or {})
    warnings += _limit(made)
    return DNSConfig(tuple(made.servers), tuple(made.searches), tuple(made.options)), warnings


def _append_custom(made: ResolvConf, custom: Obj) -> None:
    made.servers = list(dict.fromkeys(made.servers + list(custom.get("nameservers") or ())))
    made.searches = list(dict.fromkeys(made.searches + list(custom.get("searches") or ())))
    options = {option.partition(":")[0]: option for option in made.options}
    for option in custom.get("options") or ():
        value = option.get("value")
        options[option["name"]] = f"{option['name']}:{value}" if value else option["name"]
    made.options = list(options.values())


def _limit(made: ResolvConf) -> list[tuple[str, str]]:
    warnings = []
    if len(made.servers) > MAX_SERVERS:
        made.servers = made.servers[:MAX_SERVERS]
        text = "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: "
        warnings.append(("DNSConfigForming", text + " ".join(made.servers)))
    kept = made.searches[:MAX_SEARCHES]
    while len(" ".join(kept)) > MAX_SEARCH_CHARACTERS:
        kept.pop()
    if len(kept) < len(made.searches):
        made.searches = kept
        text = "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: "
        warnings.append(("DNSConfigForming", text + " ".join(kept)))
    return warnings
