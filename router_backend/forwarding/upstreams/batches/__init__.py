"""Servers' own ways to take many requests at once for less, behind one interface (`api`)."""
