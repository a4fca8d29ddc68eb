"""A training run: settings, optimizers, augmentation, the loop, checkpoints, searches."""
