"""The tables, from results/runs to results/tables and into the documents."""
