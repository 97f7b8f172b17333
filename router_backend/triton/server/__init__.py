"""Start tritonserver: embedded or in NVIDIA's container."""
