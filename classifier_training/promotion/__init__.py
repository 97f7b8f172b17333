"""Putting an artifact into service: version folders, the gate, the map between embedding spaces, Triton's model control."""
