"""Runs: downloads, settings, optimizers, the loop, checkpoints, searches, models."""
