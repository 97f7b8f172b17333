"""API keys and what they may spend."""
