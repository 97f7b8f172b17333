"""Does routing pay for agents? Simulated runs of many turns, at published prices and token counts."""
