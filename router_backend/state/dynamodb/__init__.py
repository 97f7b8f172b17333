"""The shared store on AWS: replicated over zones by the service, with no file of ours to keep."""
