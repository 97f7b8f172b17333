"""Upstream servers, one module per dialect."""
