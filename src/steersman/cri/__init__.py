"""The container runtime behind one CRI-shaped interface. Only the kubelet uses it, only `interface`."""
