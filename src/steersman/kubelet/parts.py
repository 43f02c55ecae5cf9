"""The services a pod worker calls, in one bundle. run.py makes it; tests make it from fakes."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from steersman.cri.interface import Runtime
from steersman.kubelet.backoff import Backoff
from steersman.kubelet.cgroups import Cgroups
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.containers import ContainerStarter
from steersman.kubelet.cpumanager.manager import CPUManager
from steersman.kubelet.images import ImageManager
from steersman.kubelet.kit import NodeFacts, Recorder
from steersman.kubelet.objects import ObjectCache, TokenCache
from steersman.kubelet.pleg import Pleg
from steersman.kubelet.probes.manager import ProbeManager
from steersman.kubelet.runtimehealth import RuntimeHealth
from steersman.kubelet.statuswriter import StatusWriter
from steersman.kubelet.terminating import Stopper
from steersman.kubelet.usernamespaces import UserNamespaces
from steersman.kubelet.volumes.manager import VolumeManager
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj


@dataclass(slots=True)
class Parts:
    """active_pods(uid): pods that hold resources, without that one. retry_resizes: there may be room for pods to be resized.

    look_at_node: `node` has the Node as the API has it now.
    """

    config: KubeletConfig
    runtime: Runtime
    clock: Clock
    rng: random.Random
    recorder: Recorder
    node: NodeFacts
    pleg: Pleg
    health: RuntimeHealth
    statuses: StatusWriter
    objects: ObjectCache
    tokens: TokenCache
    images: ImageManager
    volumes: VolumeManager
    probes: ProbeManager
    cgroups: Cgroups
    starter: ContainerStarter
    stopper: Stopper
    backoff: Backoff
    user_namespaces: UserNamespaces
    cpus: CPUManager
    active_pods: Callable[[str], Iterable[Obj]]
    retry_resizes: Callable[[], None]
    look_at_node: Callable[[], Awaitable[None]]
