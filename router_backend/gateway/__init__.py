"""The OpenAI-compatible HTTP surface: routes a request through Triton's `route`, forwards it, reports what became of it."""
