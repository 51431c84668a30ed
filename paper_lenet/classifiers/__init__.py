"""The classifiers of Figs. 9 to 12 (p. 12-17): one file per family, which lists its own in CLASSIFIERS.

Each is fitted by (images, labels, seed, **settings) -> fitted.Fitted, with images (N, features) or, where it says so,
(N, side, side), from 0 for the background to 1; labels (N,), 0 to 9.
"""
