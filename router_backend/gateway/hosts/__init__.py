"""Who decides for this gateway: Triton, its own process, or the one in the place of the other."""
