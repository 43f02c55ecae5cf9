"""metrics.k8s.io/v1beta1 (`kubectl top`, autoscalers), served by this server itself: what metrics-server does upstream.

kubelet /metrics/resource ──▶ exposition.py ──▶ readings.py (rates of two samples) ──▶ handlers.py ──▶ clients
             ▲ every 15 s while somebody asks: poller.py
"""
