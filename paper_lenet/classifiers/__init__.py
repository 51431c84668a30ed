"""The classifiers of Figs. 9 to 12 that are no networks (p. 12-17): one file a family, all called alike.

(images, labels, seed) -> fitted.Fitted, with images (N, features) or, where it says so, (N, side, side), from 0 for the
background to 1; labels (N,), 0 to 9.
"""
