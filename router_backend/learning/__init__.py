"""From answers and scores to statistics."""
