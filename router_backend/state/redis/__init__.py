"""The shared store of replicas."""
