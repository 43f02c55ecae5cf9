"""In-place resize of pods (KEP-1287): what a pod asks for, what the node has allocated to it, what is in force."""
