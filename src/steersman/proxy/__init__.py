"""The service proxy (kube-proxy's part): Services and EndpointSlices become nftables rules of the node."""
