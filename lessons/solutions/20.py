"""Exercise 20: with the rates 1, 1/2, 1/3, ... the weight is the mean of its targets.

If w is the mean of n - 1 numbers, the mean of these and x is

    ((n - 1) w + x) / n  =  w - w / n + x / n  =  w - (1 / n) (w - x)
"""
import random

rng = random.Random(1)
targets = [rng.gauss(5, 1) for _ in range(100)]

w = 0
for n, x in enumerate(targets, 1):
    w -= (w - x) / n
mean = sum(targets) / len(targets)
print(f"{w:.6f} {mean:.6f} {abs(w - mean) < 1e-10}")
