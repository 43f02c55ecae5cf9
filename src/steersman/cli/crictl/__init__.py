"""crictl: a look inside a container runtime, the native one or any other that speaks CRI v1.

Commands, flags, columns and output formats are those of kubernetes-sigs/cri-tools. Not here: making pods and containers by
hand, which is the kubelet's business; which runtime is asked (cluster/commands/crictl.py).
"""
