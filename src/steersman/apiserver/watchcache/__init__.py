"""The watch cache: every resource's newest objects and recent changes in memory, kept current by one watch on the store."""
