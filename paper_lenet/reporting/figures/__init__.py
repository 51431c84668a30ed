"""The figures, from results/curves and the like to results/figures."""
