"""PodTopologySpread: pods of a kind spread over zones, nodes, or whatever a label says. plugin.py is what is registered."""
