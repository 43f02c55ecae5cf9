"""Gives the node back what it runs short of: memory, disk, process IDs. Pods may end for it (upstream pkg/kubelet/eviction)."""
