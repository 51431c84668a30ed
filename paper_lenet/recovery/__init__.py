"""The network of 1998 itself: C1 to S4 recovered from their states, which Fig. 13 prints (p. 17)."""
