"""What a training is made of: the patterns and their order, curvature and step sizes, rates and updates."""
