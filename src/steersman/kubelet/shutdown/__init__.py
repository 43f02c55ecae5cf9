"""Graceful shutdown of the node (KEP-2000, KEP-2712): when the machine goes down, pods end in order and in time."""
