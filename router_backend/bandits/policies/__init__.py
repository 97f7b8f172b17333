"""The policies, a file per family."""
