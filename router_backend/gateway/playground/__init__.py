"""The playground's page; `gateway/routes/playground.py` serves it."""
