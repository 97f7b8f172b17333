"""The state store: decisions, outcomes and feedback, and the ordered log of what was learned from them."""
