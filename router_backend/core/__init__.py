"""Words that every part shares: records, ids, decisions, prices, errors, tracing, names of metrics."""
