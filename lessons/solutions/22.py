"""Exercise 22: Adam with and without bias correction.

By hand: M = 1 for 10 and V = 0.1 for 100, so the first step is 0.5 * 1 / sqrt(0.1) =
1.58 for 0.5: too large by 0.1 / sqrt(0.001) = 3.16.
"""
import math


def adam(rate, steps, corrected):
    """Return the x on the way from x = 10, whose slope is x."""
    x, M, V = 10.0, 0.0, 0.0
    places = [x]
    for t in range(1, steps + 1):
        M = 0.9 * M + 0.1 * x
        V = 0.999 * V + 0.001 * x ** 2
        m, v = (M / (1 - 0.9 ** t), V / (1 - 0.999 ** t)) if corrected else (M, V)
        x -= rate * m / (math.sqrt(v) + 1e-8)
        places.append(x)
    return places


for name, corrected in (("corrected", True), ("as they are", False)):
    places = adam(0.5, 40, corrected)
    print(f"{name:12}", *(f"{places[n]:8.3f}" for n in (1, 2, 3, 10, 40)))
