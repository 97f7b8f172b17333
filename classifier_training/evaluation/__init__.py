"""Measuring an artifact: quality, calibration, latency, and sources that training never saw."""
