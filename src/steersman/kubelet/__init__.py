"""The node agent (kubelet): pods bound to this node become sandboxes and containers, and their status goes back."""
