"""The cluster DNS server (CoreDNS's part): names of Services, endpoints and pods; everything else is asked upstream."""
