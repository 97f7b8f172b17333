"""From a classified prompt to a decision: who can take it, which policy decides, what it chooses, and what is written of it."""
