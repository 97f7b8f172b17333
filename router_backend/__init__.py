"""The logic of the LLM router: bandits, state, routing, forwarding, gateway, and the launcher of Triton."""

__version__ = "0.1.0"
