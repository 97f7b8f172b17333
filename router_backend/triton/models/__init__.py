"""The Python models of `model_repository`: tensors in and out; the logic is in the packages they call."""
