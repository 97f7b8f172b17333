"""The operator's console: what it shows, out of the state that all gateways share, and its page."""
