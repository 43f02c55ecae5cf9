"""CRI v1 over a Unix socket, in front of any interface.Runtime: crictl and other kubelets reach the native runtime by it."""
