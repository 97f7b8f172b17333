"""What policies learn: ridge regressions, discounts, priors."""
