"""The pod network of a node: addresses, links and routes of sandboxes. Handed to the runtime by cluster/."""
