"""The resources that steersman's own components address. Any other is reached by a Resource made from discovery."""

from __future__ import annotations

from steersman.machinery.gvk import Resource

PODS = Resource("", "v1", "pods", kind="Pod")
SERVICES = Resource("", "v1", "services", kind="Service")
ENDPOINTS = Resource("", "v1", "endpoints", kind="Endpoints")
CONFIG_MAPS = Resource("", "v1", "configmaps", kind="ConfigMap")
SECRETS = Resource("", "v1", "secrets", kind="Secret")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", kind="ServiceAccount")
EVENTS = Resource("", "v1", "events", kind="Event")
PERSISTENT_VOLUME_CLAIMS = Resource("", "v1", "persistentvolumeclaims", kind="PersistentVolumeClaim")
PERSISTENT_VOLUMES = Resource("", "v1", "persistentvolumes", False, "PersistentVolume")
REPLICATION_CONTROLLERS = Resource("", "v1", "replicationcontrollers", kind="ReplicationController")
RESOURCE_QUOTAS = Resource("", "v1", "resourcequotas", kind="ResourceQuota")
LIMIT_RANGES = Resource("", "v1", "limitranges", kind="LimitRange")
NODES = Resource("", "v1", "nodes", False, "Node")
NAMESPACES = Resource("", "v1", "namespaces", False, "Namespace")
DEPLOYMENTS = Resource("apps", "v1", "deployments", kind="Deployment")
REPLICA_SETS = Resource("apps", "v1", "replicasets", kind="ReplicaSet")
STATEFUL_SETS = Resource("apps", "v1", "statefulsets", kind="StatefulSet")
DAEMON_SETS = Resource("apps", "v1", "daemonsets", kind="DaemonSet")
CONTROLLER_REVISIONS = Resource("apps", "v1", "controllerrevisions", kind="ControllerRevision")
JOBS = Resource("batch", "v1", "jobs", kind="Job")
CRON_JOBS = Resource("batch", "v1", "cronjobs", kind="CronJob")
RESOURCE_CLAIMS = Resource("resource.k8s.io", "v1", "resourceclaims", kind="ResourceClaim")
POD_DISRUPTION_BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", kind="PodDisruptionBudget")
HORIZONTAL_POD_AUTOSCALERS = Resource("autoscaling", "v2", "horizontalpodautoscalers", kind="HorizontalPodAutoscaler")
INGRESSES = Resource("networking.k8s.io", "v1", "ingresses", kind="Ingress")
INGRESS_CLASSES = Resource("networking.k8s.io", "v1", "ingressclasses", False, "IngressClass")
IP_ADDRESSES = Resource("networking.k8s.io", "v1", "ipaddresses", False, "IPAddress")
SERVICE_CIDRS = Resource("networking.k8s.io", "v1", "servicecidrs", False, "ServiceCIDR")
VOLUME_ATTRIBUTES_CLASSES = Resource("storage.k8s.io", "v1", "volumeattributesclasses", False, "VolumeAttributesClass")
CSI_DRIVERS = Resource("storage.k8s.io", "v1", "csidrivers", False, "CSIDriver")
CSI_NODES = Resource("storage.k8s.io", "v1", "csinodes", False, "CSINode")
VOLUME_ATTACHMENTS = Resource("storage.k8s.io", "v1", "volumeattachments", False, "VolumeAttachment")
STORAGE_CLASSES = Resource("storage.k8s.io", "v1", "storageclasses", False, "StorageClass")
RUNTIME_CLASSES = Resource("node.k8s.io", "v1", "runtimeclasses", False, "RuntimeClass")
CERTIFICATE_SIGNING_REQUESTS = Resource(
    "certificates.k8s.io", "v1", "certificatesigningrequests", False, "CertificateSigningRequest"
)
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", kind="EndpointSlice")
LEASES = Resource("coordination.k8s.io", "v1", "leases", kind="Lease")
EVENTS_V1 = Resource("events.k8s.io", "v1", "events", kind="Event")
PRIORITY_CLASSES = Resource("scheduling.k8s.io", "v1", "priorityclasses", False, "PriorityClass")
FLOW_SCHEMAS = Resource("flowcontrol.apiserver.k8s.io", "v1", "flowschemas", False, "FlowSchema")
PRIORITY_LEVEL_CONFIGURATIONS = Resource(
    "flowcontrol.apiserver.k8s.io", "v1", "prioritylevelconfigurations", False, "PriorityLevelConfiguration"
)
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", kind="Role")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", kind="RoleBinding")
CLUSTER_ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", False, "ClusterRole")
CLUSTER_ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "clusterrolebindings", False, "ClusterRoleBinding")
TOKEN_REVIEWS = Resource("authentication.k8s.io", "v1", "tokenreviews", False, "TokenReview")
SUBJECT_ACCESS_REVIEWS = Resource("authorization.k8s.io", "v1", "subjectaccessreviews", False, "SubjectAccessReview")
CUSTOM_RESOURCE_DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", False, "CustomResourceDefinition"
)
API_SERVICES = Resource("apiregistration.k8s.io", "v1", "apiservices", False, "APIService")
NODE_METRICS = Resource("metrics.k8s.io", "v1beta1", "nodes", False, "NodeMetrics")
POD_METRICS = Resource("metrics.k8s.io", "v1beta1", "pods", kind="PodMetrics")
