"""Runs: one job trained for all its seeds, what each run records, and what is read from the records."""
