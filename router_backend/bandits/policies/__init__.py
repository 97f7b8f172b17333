"""The policies, one file a family: `linear` and `context_free` learn, `rule_based` follows a rule."""
