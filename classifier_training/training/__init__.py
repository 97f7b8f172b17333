"""Fitting: full fine-tuning, and heads on a frozen encoder."""
