"""Bandits: policies, their sufficient statistics, and the propensities of their choices."""
