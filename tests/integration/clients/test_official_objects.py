"""The official client: objects of many groups come and go, are patched in every way, paged, tried out, refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes import client as k8s
from kubernetes.client.exceptions import ApiException, ConflictException, ForbiddenException, NotFoundException
from tests.e2e.harness import eventually

LABELS = {"app": "web"}


def deployment(name: str = "web", replicas: int = 2) -> k8s.V1Deployment:
    template = k8s.V1PodTemplateSpec(
        metadata=k8s.V1ObjectMeta(labels=LABELS),
        spec=k8s.V1PodSpec(containers=[k8s.V1Container(name="c", image="nginx:1")], termination_grace_period_seconds=0),
    )
    spec = k8s.V1DeploymentSpec(replicas=replicas, selector=k8s.V1LabelSelector(match_labels=LABELS), template=template)
    return k8s.V1Deployment(metadata=k8s.V1ObjectMeta(name=name), spec=spec)


def config_map(name: str, **data: str) -> k8s.V1ConfigMap:
    return k8s.V1ConfigMap(metadata=k8s.V1ObjectMeta(name=name, labels={"made-by": "tests"}), data=data)


def unless_conflict(write: Callable[[], object]) -> object:
    """What is written with the version that was read, while a controller may write a status: None if it did."""
    try:
        return write()
    except ConflictException:
        return None


def test_a_deployment_is_made_scaled_changed_and_deleted_with_what_it_owns(api: k8s.ApiClient, namespace: str) -> None:
    apps, core = k8s.AppsV1Api(api), k8s.CoreV1Api(api)
    made = apps.create_namespaced_deployment(namespace, deployment())
    assert made.metadata.uid and made.metadata.generation == 1 and made.spec.strategy.type == "RollingUpdate"

    def available(count: int) -> object:
        return apps.read_namespaced_deployment_status("web", namespace).status.available_replicas == count

    eventually(lambda: available(2), what="the deployment is available")
    scale = apps.read_namespaced_deployment_scale("web", namespace)
    assert (scale.spec.replicas, scale.status.replicas, scale.status.selector) == (2, 2, "app=web")

    def scaled() -> object:
        found = apps.read_namespaced_deployment_scale("web", namespace)
        found.spec.replicas = 3
        return apps.replace_namespaced_deployment_scale("web", namespace, found).spec.replicas == 3

    eventually(lambda: unless_conflict(scaled), what="it is scaled")
    eventually(lambda: available(3), what="one more")

    def changed() -> object:
        found = apps.read_namespaced_deployment("web", namespace)
        found.spec.template.spec.containers[0].image = "nginx:2"
        assert apps.replace_namespaced_deployment("web", namespace, found).metadata.generation == 3
        return found

    live = eventually(lambda: unless_conflict(changed), what="it is changed")
    with pytest.raises(ConflictException) as stale:
        apps.replace_namespaced_deployment("web", namespace, live)
    assert stale.value.status == 409 and json.loads(stale.value.body)["reason"] == "Conflict"
    eventually(
        lambda: (
            apps.read_namespaced_deployment("web", namespace).status.updated_replicas == 3
            and {pod.spec.containers[0].image for pod in core.list_namespaced_pod(namespace, label_selector="app=web").items}
            == {"nginx:2"}
        ),
        what="the new image everywhere",
    )
    apps.delete_namespaced_deployment("web", namespace, propagation_policy="Foreground")
    eventually(lambda: not apps.list_namespaced_replica_set(namespace).items, what="its replica sets are gone")
    eventually(lambda: not core.list_namespaced_pod(namespace).items, what="its pods are gone")


def test_jobs_run_to_their_end(api: k8s.ApiClient, namespace: str) -> None:
    batch = k8s.BatchV1Api(api)
    container = k8s.V1Container(name="c", image="busybox", command=["echo", "hello"])
    template = k8s.V1PodTemplateSpec(spec=k8s.V1PodSpec(restart_policy="Never", containers=[container]))
    job = k8s.V1Job(metadata=k8s.V1ObjectMeta(generate_name="job-"), spec=k8s.V1JobSpec(template=template, completions=2))
    name = batch.create_namespaced_job(namespace, job).metadata.name

    def complete() -> bool:
        conditions = batch.read_namespaced_job_status(name, namespace).status.conditions
        return "Complete" in [condition.type for condition in conditions or ()]

    eventually(complete, what="the job")
    done = batch.read_namespaced_job(name, namespace).status
    assert done.succeeded == 2 and done.completion_time >= done.start_time
    schedule = k8s.V1CronJobSpec(
        schedule="*/5 * * * *", job_template=k8s.V1JobTemplateSpec(spec=k8s.V1JobSpec(template=template))
    )
    cron = k8s.V1CronJob(metadata=k8s.V1ObjectMeta(name="cron"), spec=schedule)
    assert batch.create_namespaced_cron_job(namespace, cron).spec.concurrency_policy == "Allow"
    batch.patch_namespaced_cron_job("cron", namespace, {"spec": {"suspend": True}})
    assert batch.read_namespaced_cron_job("cron", namespace).spec.suspend is True


def test_services_policies_and_ingresses_are_typed_both_ways(api: k8s.ApiClient, namespace: str) -> None:
    core, networking = k8s.CoreV1Api(api), k8s.NetworkingV1Api(api)
    port = k8s.V1ServicePort(name="http", port=80, target_port="web")
    service = k8s.V1Service(metadata=k8s.V1ObjectMeta(name="web"), spec=k8s.V1ServiceSpec(selector=LABELS, ports=[port]))
    made = core.create_namespaced_service(namespace, service)
    assert made.spec.cluster_ip.startswith("10.96.") and made.spec.type == "ClusterIP" and made.spec.ports[0].target_port == "web"
    path = k8s.V1HTTPIngressPath(
        path="/",
        path_type="Prefix",
        backend=k8s.V1IngressBackend(service=k8s.V1IngressServiceBackend(name="web", port=k8s.V1ServiceBackendPort(name="http"))),
    )
    rule = k8s.V1IngressRule(host="a.example", http=k8s.V1HTTPIngressRuleValue(paths=[path]))
    ingress = k8s.V1Ingress(metadata=k8s.V1ObjectMeta(name="web"), spec=k8s.V1IngressSpec(rules=[rule]))
    assert networking.create_namespaced_ingress(namespace, ingress).spec.rules[0].http.paths[0].backend.service.name == "web"
    from_all = k8s.V1NetworkPolicyIngressRule(_from=[k8s.V1NetworkPolicyPeer(namespace_selector=k8s.V1LabelSelector())])
    policy = k8s.V1NetworkPolicySpec(pod_selector=k8s.V1LabelSelector(match_labels=LABELS), ingress=[from_all])
    named = k8s.V1NetworkPolicy(metadata=k8s.V1ObjectMeta(name="web"), spec=policy)
    assert networking.create_namespaced_network_policy(namespace, named).spec.policy_types == ["Ingress"]
    assert networking.read_namespaced_network_policy("web", namespace).spec.ingress[0]._from[0].namespace_selector is not None


def test_an_autoscaler_has_both_versions(api: k8s.ApiClient, namespace: str) -> None:
    target = k8s.V2CrossVersionObjectReference(api_version="apps/v1", kind="Deployment", name="web")
    cpu = k8s.V2ResourceMetricSource(name="cpu", target=k8s.V2MetricTarget(type="Utilization", average_utilization=60))
    spec = k8s.V2HorizontalPodAutoscalerSpec(
        scale_target_ref=target, max_replicas=4, metrics=[k8s.V2MetricSpec(type="Resource", resource=cpu)]
    )
    new = k8s.V2HorizontalPodAutoscaler(metadata=k8s.V1ObjectMeta(name="web"), spec=spec)
    made = k8s.AutoscalingV2Api(api).create_namespaced_horizontal_pod_autoscaler(namespace, new)
    assert made.spec.min_replicas == 1 and made.status.desired_replicas == 0
    old = k8s.AutoscalingV1Api(api).read_namespaced_horizontal_pod_autoscaler("web", namespace)
    assert old.spec.target_cpu_utilization_percentage == 60 and old.status.current_replicas == 0


def test_every_kind_of_patch_does_its_own(api: k8s.ApiClient, namespace: str) -> None:
    core, apps = k8s.CoreV1Api(api), k8s.AppsV1Api(api)
    core.create_namespaced_config_map(namespace, config_map("c", a="1", b="2"))

    def patched(body: Any, kind: str, **options: Any) -> dict[str, str]:
        found = core.patch_namespaced_config_map("c", namespace, body, _content_type=f"application/{kind}", **options)
        data: dict[str, str] = found.data
        return data

    assert patched([{"op": "replace", "path": "/data/a", "value": "3"}], "json-patch+json") == {"a": "3", "b": "2"}
    assert patched({"data": {"b": None, "c": "4"}}, "merge-patch+json") == {"a": "3", "c": "4"}
    assert patched({"data": {"a": None}}, "strategic-merge-patch+json") == {"c": "4"}
    mine = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"d": "5"}}
    assert patched(mine, "apply-patch+yaml", field_manager="mine") == {"c": "4", "d": "5"}
    with pytest.raises(ConflictException) as refused:
        patched({**mine, "data": {"d": "6"}}, "apply-patch+yaml", field_manager="other")
    assert 'conflict with "mine"' in json.loads(refused.value.body)["message"]
    assert patched({**mine, "data": {"d": "6"}}, "apply-patch+yaml", field_manager="other", force=True)["d"] == "6"
    apps.create_namespaced_deployment(namespace, deployment(replicas=0))
    second = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "busybox"}]}}}}
    both = apps.patch_namespaced_deployment("web", namespace, second, _content_type="application/strategic-merge-patch+json")
    assert [container.name for container in both.spec.template.spec.containers] == ["side", "c"]


def test_lists_come_in_pages_that_show_one_moment(api: k8s.ApiClient, namespace: str) -> None:
    core = k8s.CoreV1Api(api)
    names = [f"page-{number:02}" for number in range(25)]
    for name in names:
        core.create_namespaced_config_map(namespace, config_map(name))
    first = core.list_namespaced_config_map(namespace, limit=10, label_selector="made-by=tests")
    core.create_namespaced_config_map(namespace, config_map("page-99"))
    seen, token = [item.metadata.name for item in first.items], first.metadata._continue
    while token:
        page = core.list_namespaced_config_map(namespace, limit=10, label_selector="made-by=tests", _continue=token)
        assert page.metadata.resource_version == first.metadata.resource_version
        seen += [item.metadata.name for item in page.items]
        token = page.metadata._continue
    assert seen == names
    whole = core.list_namespaced_config_map(namespace, limit=5)
    assert whole.metadata.remaining_item_count == 22
    gone = core.delete_collection_namespaced_config_map(namespace, label_selector="made-by=tests")
    assert gone.kind == "ConfigMapList"
    assert [item.metadata.name for item in core.list_namespaced_config_map(namespace).items] == ["kube-root-ca.crt"]


def test_what_is_tried_out_is_not_kept(api: k8s.ApiClient, namespace: str) -> None:
    core = k8s.CoreV1Api(api)
    assert core.create_namespaced_config_map(namespace, config_map("dry", a="1"), dry_run="All").metadata.uid
    with pytest.raises(NotFoundException):
        core.read_namespaced_config_map("dry", namespace)


def test_errors_are_statuses_that_the_client_can_read(api: k8s.ApiClient, namespace: str) -> None:
    core = k8s.CoreV1Api(api)
    core.create_namespaced_config_map(namespace, config_map("there"))

    def refused(call: Any, *arguments: Any) -> tuple[int, str, dict[str, Any]]:
        with pytest.raises(ApiException) as found:
            call(*arguments)
        return found.value.status, found.value.reason, json.loads(found.value.body)

    status, reason, body = refused(core.read_namespaced_config_map, "none", namespace)
    assert (status, reason, body["reason"]) == (404, "Not Found", "NotFound")
    assert body["details"] == {"name": "none", "kind": "configmaps"}
    status, reason, body = refused(core.create_namespaced_config_map, namespace, config_map("there"))
    assert (status, reason, body["reason"]) == (409, "Conflict", "AlreadyExists")
    status, reason, body = refused(core.create_namespaced_config_map, namespace, config_map("No Name"))
    assert (status, reason, body["reason"]) == (422, "Unprocessable Entity", "Invalid")
    assert body["details"]["causes"][0]["field"] == "metadata.name"


def test_a_finalizer_keeps_an_object_until_it_is_taken_away(api: k8s.ApiClient, namespace: str) -> None:
    core = k8s.CoreV1Api(api)
    held = config_map("held")
    held.metadata.finalizers = ["example.com/hold"]
    core.create_namespaced_config_map(namespace, held)
    core.delete_namespaced_config_map("held", namespace)
    assert core.read_namespaced_config_map("held", namespace).metadata.deletion_timestamp is not None
    core.patch_namespaced_config_map(
        "held", namespace, [{"op": "remove", "path": "/metadata/finalizers"}], _content_type="application/json-patch+json"
    )
    with pytest.raises(NotFoundException):
        core.read_namespaced_config_map("held", namespace)


def test_evictions_respect_budgets(api: k8s.ApiClient, namespace: str) -> None:
    core, policy = k8s.CoreV1Api(api), k8s.PolicyV1Api(api)
    k8s.AppsV1Api(api).create_namespaced_deployment(namespace, deployment(replicas=1))
    budget = k8s.V1PodDisruptionBudgetSpec(min_available=1, selector=k8s.V1LabelSelector(match_labels=LABELS))
    policy.create_namespaced_pod_disruption_budget(
        namespace, k8s.V1PodDisruptionBudget(metadata=k8s.V1ObjectMeta(name="web"), spec=budget)
    )
    eventually(
        lambda: policy.read_namespaced_pod_disruption_budget("web", namespace).status.current_healthy == 1,
        what="the budget sees the pod",
    )
    name = core.list_namespaced_pod(namespace).items[0].metadata.name
    eviction = k8s.V1Eviction(metadata=k8s.V1ObjectMeta(name=name, namespace=namespace))
    with pytest.raises(ApiException) as refused:
        core.create_namespaced_pod_eviction(name, namespace, eviction)
    assert refused.value.status == 429
    policy.delete_namespaced_pod_disruption_budget("web", namespace)
    assert core.create_namespaced_pod_eviction(name, namespace, eviction)
    eventually(lambda: name not in [pod.metadata.name for pod in core.list_namespaced_pod(namespace).items], what="it is gone")


def test_what_one_may_is_asked_and_refused(api: k8s.ApiClient, namespace: str) -> None:
    core, rbac, authorization = k8s.CoreV1Api(api), k8s.RbacAuthorizationV1Api(api), k8s.AuthorizationV1Api(api)
    rules = [k8s.V1PolicyRule(api_groups=[""], resources=["configmaps"], verbs=["get", "list"])]
    rbac.create_namespaced_role(namespace, k8s.V1Role(metadata=k8s.V1ObjectMeta(name="reads"), rules=rules))
    binding = k8s.V1RoleBinding(
        metadata=k8s.V1ObjectMeta(name="reads"),
        role_ref=k8s.V1RoleRef(api_group="rbac.authorization.k8s.io", kind="Role", name="reads"),
        subjects=[k8s.RbacV1Subject(kind="ServiceAccount", name="default", namespace=namespace)],
    )
    rbac.create_namespaced_role_binding(namespace, binding)
    wanted = k8s.V1ResourceAttributes(namespace=namespace, verb="list", resource="configmaps")
    mine = k8s.V1SelfSubjectAccessReview(spec=k8s.V1SelfSubjectAccessReviewSpec(resource_attributes=wanted))
    assert authorization.create_self_subject_access_review(mine).status.allowed is True
    theirs = k8s.V1SubjectAccessReviewSpec(user=f"system:serviceaccount:{namespace}:default", resource_attributes=wanted)
    assert authorization.create_subject_access_review(k8s.V1SubjectAccessReview(spec=theirs)).status.allowed is True
    request = k8s.AuthenticationV1TokenRequest(spec=k8s.V1TokenRequestSpec(audiences=[], expiration_seconds=600))
    token = core.create_namespaced_service_account_token("default", namespace, request).status.token
    review = k8s.V1TokenReview(spec=k8s.V1TokenReviewSpec(token=token))
    known = k8s.AuthenticationV1Api(api).create_token_review(review).status
    assert known.authenticated and known.user.username == f"system:serviceaccount:{namespace}:default"

    configuration = k8s.Configuration(host=api.configuration.host)
    configuration.ssl_ca_cert = api.configuration.ssl_ca_cert
    configuration.api_key["authorization"] = f"Bearer {token}"
    with k8s.ApiClient(configuration) as limited:
        assert k8s.CoreV1Api(limited).list_namespaced_config_map(namespace).items
        with pytest.raises(ForbiddenException) as refused:
            k8s.CoreV1Api(limited).list_namespaced_secret(namespace)
        words = f'cannot list resource "secrets" in API group "" in the namespace "{namespace}"'
        assert words in json.loads(refused.value.body)["message"]
        who = k8s.AuthenticationV1Api(limited).create_self_subject_review(k8s.V1SelfSubjectReview())
        assert who.status.user_info.username == known.user.username
    configuration.api_key["authorization"] = "Bearer nonsense"
    with k8s.ApiClient(configuration) as nobody, pytest.raises(ApiException) as unknown:
        k8s.CoreV1Api(nobody).list_namespaced_config_map(namespace)
    assert unknown.value.status == 401
