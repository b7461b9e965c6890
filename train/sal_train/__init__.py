"""Training: the networks of the paper and the compact one, their data, losses and checkpoints."""
