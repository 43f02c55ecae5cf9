"""InterPodAffinity: pods that want to be near other pods, or away from them. plugin.py is what is registered."""
