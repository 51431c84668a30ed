"""Trained networks made ready to be taken away."""
