"""The steps of a decision and of its feedback, without a host: Triton's models run them, and so does a router in the process."""
