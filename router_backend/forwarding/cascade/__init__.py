"""Cheap arms first, the next one when a scorer is not content."""
