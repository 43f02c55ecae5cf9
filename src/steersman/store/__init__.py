"""Where objects live: one etcd-shaped interface, several implementations. Only the API server imports it, only `interface`."""
