"""Forwarding: upstreams, and the one engine that gateway and Triton's forwarder share."""
