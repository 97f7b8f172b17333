"""Triton: the embedded server, the onnxruntime backend for it, and the code behind `model_repository`'s models."""
