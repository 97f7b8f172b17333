"""HTTP itself: server, connection, one exchange, errors, access log."""
