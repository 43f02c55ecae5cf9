"""A container runtime in another process, spoken to over CRI v1: containerd, CRI-O. See runtime.py and images.py."""
