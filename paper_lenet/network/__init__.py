"""The networks: their layers, their losses, and the trained ones that can be taken away."""
