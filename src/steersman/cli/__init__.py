"""What a person types that is not about running a cluster: kubectl. The commands that compose one are in `cluster.commands`."""
