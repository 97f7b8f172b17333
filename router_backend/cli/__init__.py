"""The command line `llm-router`."""
