"""KubeletConfiguration (kubelet.config.k8s.io/v1beta1): its fields, reading it from files, and what it means for this kubelet."""
