"""The logic of the LLM router, in the order of a request; its hosts, its command line and its laboratory."""
