"""The playground's page; `routes/playground.py` serves it."""
