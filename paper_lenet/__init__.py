"""LeNet-5 as described by LeCun, Bottou, Bengio and Haffner in 1998, made runnable."""
