"""What guards an upstream: circuit breaker, limiter, retry budget."""
