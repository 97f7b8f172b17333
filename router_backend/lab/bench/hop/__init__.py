"""`llm-router bench hop`: what it costs to ask Triton for one decision, by each way that Triton can be asked."""
