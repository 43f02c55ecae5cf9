"""KubeletConfiguration: read, checked, applied, shown."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.configuration.effective import apply, shown, without_effect
from steersman.kubelet.configuration.fields import HARD_EVICTION, with_defaults
from steersman.kubelet.configuration.loading import BadConfiguration, decode, load
from steersman.kubelet.configuration.validation import problems
from steersman.machinery import yamlio
from steersman.machinery.meta import Obj, dig

HEAD = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
PLAIN = KubeletConfig(node_name="n1")


def write(path: Path, text: str, head: str = HEAD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head + text)
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("{]", "failed to decode: yaml: ", id="no YAML"),
        pytest.param("[]", "cannot unmarshal array into Go value of type v1beta1.KubeletConfiguration", id="a list"),
        pytest.param("maxPods: 3", "Object 'Kind' is missing", id="no kind"),
        pytest.param("kind: Pod\napiVersion: v1", 'no kind "Pod" is registered for version "v1"', id="another kind"),
        pytest.param(
            HEAD + "maxPods: many",
            "failed to decode: json: cannot unmarshal string into Go struct field KubeletConfiguration.maxPods of type int32",
            id="text for a number",
        ),
        pytest.param(
            HEAD + "maxPods: 3000000000",
            "json: cannot unmarshal number 3000000000 into Go struct field KubeletConfiguration.maxPods of type int32",
            id="too large a number",
        ),
        pytest.param(
            HEAD + "authentication: {anonymous: {enabled: 'false'}}",
            "string into Go struct field KubeletConfiguration.authentication.anonymous.enabled of type bool",
            id="text for a boolean",
        ),
        pytest.param(HEAD + "syncFrequency: often", 'time: invalid duration "often"', id="no duration"),
        pytest.param("  \n", "was empty", id="nothing"),
    ],
)
def test_what_cannot_be_decoded_is_refused_in_upstreams_words(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path / "config.yaml", text, head="")
    with pytest.raises(BadConfiguration) as caught:
        load(path)
    assert str(caught.value).startswith(f"failed to load kubelet config file, path: {path}, error: ") and words in str(
        caught.value
    )


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="failed to read kubelet config file .*No such file"):
        load(tmp_path / "nothing")


def test_unknown_fields_are_told_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "maxPods: 3\nmaxpods: 4\nauthentication: {x509: {clientCAfile: a, clientCAFile: /ca}}\nmaxPods: 5\n"
    with caplog.at_level(logging.WARNING):
        given = load(write(tmp_path / "c.yaml", text))
    assert given == {"maxPods": 5, "authentication": {"x509": {"clientCAFile": "/ca"}}}
    (said,) = [record.getMessage() for record in caplog.records]
    lead = 'strict decoding error: unknown field "maxpods", unknown field "authentication.x509.clientCAfile", '
    assert "Using lenient decoding as strict decoding failed" in said and lead in said and 'key "maxPods" already set' in said


def test_drop_ins_are_laid_over_in_order_and_paths_are_relative_to_their_file(tmp_path: Path) -> None:
    base = "clusterDNS: [10.0.0.1]\nevictionHard: {memory.available: 1Gi, pid.available: 10%}\nstaticPodPath: manifests\n"
    path = write(tmp_path / "config.yaml", base)
    write(tmp_path / "d" / "20.conf", "maxPods: 3\ntlsCertFile: ../tls.crt\n")
    write(tmp_path / "d" / "10.conf", "maxPods: 2\nclusterDNS: [10.0.0.2]\nevictionHard: {memory.available: 2Gi}\n")
    write(tmp_path / "d" / "30.yaml", "maxPods: 4\n")
    assert load(path, tmp_path / "d") == {
        "clusterDNS": ["10.0.0.2"],
        "evictionHard": {"memory.available": "2Gi", "pid.available": "10%"},
        "staticPodPath": str(tmp_path / "manifests"),
        "maxPods": 3,
        "tlsCertFile": str(tmp_path / "d" / ".." / "tls.crt"),
    }
    with pytest.raises(BadConfiguration, match="failed to walk"):
        load(path, tmp_path / "nowhere")


def test_zeros_that_go_cannot_tell_from_nothing_become_defaults() -> None:
    made = with_defaults({"syncFrequency": "0s", "port": 0, "healthzPort": 0, "registryPullQPS": 0, "maxPods": 0})
    assert (made["syncFrequency"], made["port"], made["maxPods"]) == ("1m0s", 10250, 110)
    assert made["healthzPort"] == 0 and made["registryPullQPS"] == 0
    assert made["evictionHard"] == HARD_EVICTION
    hard: Obj = {"evictionHard": {"memory.available": "1Gi"}}
    assert with_defaults(hard)["evictionHard"] == {"memory.available": "1Gi"}
    merged = with_defaults({**hard, "mergeDefaultEvictionSettings": True})["evictionHard"]
    assert merged == {**HARD_EVICTION, "memory.available": "1Gi"}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"maxPods": -1}, "maxPods (--max-pods) -1 must be a non-negative number"),
        (
            {"imageGCHighThresholdPercent": 101},
            "imageGCHighThresholdPercent (--image-gc-high-threshold) 101 must be between 0 and 100",
        ),
        (
            {"imageGCHighThresholdPercent": 50, "imageGCLowThresholdPercent": 60},
            "60 must be less than imageGCHighThresholdPercent (--image-gc-high-threshold) 50",
        ),
        ({"maxParallelImagePulls": 2}, "maxParallelImagePulls cannot be larger than 1 unless SerializeImagePulls"),
        ({"shutdownGracePeriodCriticalPods": "10s"}, "shutdownGracePeriodCriticalPods 10s must be <= shutdownGracePeriod 0s"),
        (
            {"shutdownGracePeriod": "10s", "shutdownGracePeriodByPodPriority": [{"priority": 1}]},
            "Cannot specify both shutdownGracePeriodByPodPriority and shutdownGracePeriod",
        ),
        ({"enforceNodeAllocatable": ["everything"]}, 'option "everything" specified for enforceNodeAllocatable'),
        ({"enforceNodeAllocatable": ["kube-reserved"]}, 'must be specified when "kube-reserved" contained in'),
        ({"hairpinMode": "sideways"}, 'hairpinMode (--hairpin-mode) "sideways" must be one of'),
        ({"authorization": {"mode": "RBAC"}}, 'authorization mode "RBAC" is not supported'),
        ({"evictionHard": {"memory.free": "1Gi"}}, "unknown eviction signal memory.free"),
        ({"evictionHard": {"memory.available": "lots"}}, 'in evictionHard is no quantity or percentage: "lots"'),
        ({"evictionSoft": {"memory.available": "1Gi"}}, "grace period must be specified for the soft eviction threshold"),
        ({"kubeReserved": {"cpu": "-1"}}, 'kubeReserved: resource quantity for "cpu" cannot be negative: -1'),
        ({"containerLogMaxFiles": 1}, "containerLogMaxFiles 1 must be greater than 1"),
        ({"crashLoopBackOff": {"maxContainerRestartPeriod": "10m"}}, "must be set between 1s and 300s"),
    ],
)
def test_values_out_of_bounds_are_refused(given: Obj, text: str) -> None:
    (found,) = problems(with_defaults(given))
    assert found.startswith("invalid configuration: ") and text in found


def test_the_defaults_have_no_problems() -> None:
    assert problems(with_defaults({})) == [] and without_effect({}) == []


def test_what_is_said_holds_for_the_kubelet() -> None:
    text = """
address: 127.0.0.1
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}, x509: {clientCAFile: /ca.crt}}
authorization: {mode: AlwaysAllow}
cgroupRoot: /mine
clusterDNS: [10.0.0.10]
containerLogMaxSize: 1Mi
crashLoopBackOff: {maxContainerRestartPeriod: 20s}
evictionHard: {memory.available: 200Mi}
kubeReserved: {cpu: 100m}
nodeLeaseDurationSeconds: 20
podPidsLimit: 64
resolvConf: ""
serializeImagePulls: false
maxParallelImagePulls: 3
shutdownGracePeriod: 30s
shutdownGracePeriodCriticalPods: 10s
staticPodURLHeader: {X-Key: [a, b]}
"""
    given, strict = decode((HEAD + text).encode())
    made = apply(PLAIN, given)
    assert strict == []
    assert (made.address, made.anonymous, made.token_webhook, made.always_allow) == ("127.0.0.1", True, False, True)
    assert made.client_ca_file == Path("/ca.crt") and made.cgroup_root == "/mine/kubepods"
    assert made.cluster_dns == ("10.0.0.10",) and made.container_log_max_size == 1 << 20
    assert (made.max_crash_loop_backoff_s, made.eviction_hard_memory) == (20.0, "200Mi")
    assert made.kube_reserved == {"cpu": "100m"} and made.node_lease_duration_s == 20
    assert (made.pod_pids_limit, made.resolv_conf, made.max_parallel_image_pulls) == (64, Path("/dev/null"), 3)
    assert made.shutdown == ((0, 20.0), (2_000_000_000, 10.0))
    assert made.static_pod_url_headers == {"X-Key": ("a", "b")}
    assert made.configuration["evictionHard"] == {"memory.available": "200Mi"}


def test_shutdown_by_priority_is_in_order_of_priority() -> None:
    listed = [{"priority": 1000, "shutdownGracePeriodSeconds": 5}, {"priority": 0, "shutdownGracePeriodSeconds": 60}]
    assert apply(PLAIN, {"shutdownGracePeriodByPodPriority": listed}).shutdown == ((0, 60.0), (1000, 5.0))


def test_configz_shows_what_is_in_force() -> None:
    plain = shown(PLAIN)
    assert (plain["kind"], plain["maxPods"], plain["podPidsLimit"], plain["serializeImagePulls"]) == (
        "KubeletConfiguration",
        110,
        -1,
        False,
    )
    given, _ = decode((HEAD + "maxPods: 5\nsyncFrequency: 90s\npodPidsLimit: 9\nclusterDNS: [10.0.0.1]\n").encode())
    found = shown(apply(PLAIN, given))
    assert (found["maxPods"], found["syncFrequency"], found["podPidsLimit"], found["clusterDNS"]) == (5, "1m30s", 9, ["10.0.0.1"])
    assert dig(found, "authorization", "webhook", "cacheAuthorizedTTL") == "5m0s"
    # What is shown can be read again, and means the same.
    again, strict = decode(yamlio.dump(found).encode())
    assert strict == [] and shown(apply(PLAIN, again)) == found


def test_fields_that_change_nothing_here_are_named() -> None:
    given: Obj = {
        "cgroupDriver": "systemd",
        "maxPods": 3,
        "topologyManagerPolicy": "none",
        "memorySwap": {},
        "reservedSystemCPUs": "0",
    }
    assert without_effect(given) == ["cgroupDriver"]
