"""The CPU manager: whole CPUs for containers of Guaranteed pods (cpuManagerPolicy: static), what is left for all others."""
