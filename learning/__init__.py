"""Runs: settings, optimizers, augmentation, the loop, checkpoints, searches, models."""
