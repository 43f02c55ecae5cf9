"""The cloud controller manager: what a cluster asks of the place it runs in, and the controllers that ask it."""
