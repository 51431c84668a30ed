"""The page with all results and the networks to try."""
