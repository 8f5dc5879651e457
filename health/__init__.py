"""Whether this process may be sent traffic: probes for Kubernetes and for people."""
