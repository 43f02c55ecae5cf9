"""The controller runtime: specs, queues, ownership, and the one runner that does the I/O for pure controllers."""
