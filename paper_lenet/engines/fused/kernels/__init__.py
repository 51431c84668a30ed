"""The loop nests of the fused engine, each one layer's forward pass, backward pass or parameter gradient.

Legend: x states, d = dE/da (or d2E/da2), p parameters, e step sizes eps_k (or the sums of h_kk), s the sums of 2x2
inputs, r row, c column, m map, i map below, o unit or map above, ky and kx tap.

Layouts, all in flat arrays, rows of one vector multiple: the image and C1 as (map, row, column), S2 the same with rows
of one vector; C3 and S4 as (row, column, map), so that a vector is all maps of one position; C5 and F6 as units. What
pads a vector is 0 or meets a 0 wherever it would be added.

Each backward kernel has four modes. STEP back-propagates and takes e times the gradient off p. GRADIENT adds the
gradient up in e. SECOND_ORDER does Eq. 25 and 27 instead: the same sums with weights, states and slopes squared, added
up in e. CROSS_TERMS back-propagates and adds the square of each parameter's gradient up in e, which keeps the cross
terms of Eq. 22.

Activations and poolings are numbered as in NUMBERED and POOLINGS. The first two poolings have parameters and squash;
the others have neither, so that S2 and S4 hold averages or maxima.
"""
