"""`llm-router bench`: this system and its peers, side by side, in front of one static upstream."""
