"""HTTP/1.1 as a client: one connection, a pool of them, and what an answer's body is packed in."""
