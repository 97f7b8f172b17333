"""Several processes that serve one port: their parent, and what they tell each other."""
