"""Judging policies before they serve: replays of recorded answers, off-policy estimates of logged decisions, priors."""
