"""The laboratory: replay and benchmarks. Not in the serving image; nothing that serves imports it."""
