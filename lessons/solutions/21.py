"""Exercise 21: how much momentum is best for the valley."""
import math


def walk(mu, rate, steps):
    """Return the places on the way from (10, 1)."""
    x, y, vx, vy = 10.0, 1.0, 0.0, 0.0
    places = [(x, y)]
    for _ in range(steps):
        vx = mu * vx + rate * x
        vy = mu * vy + rate * 100 * y
        x, y = x - vx, y - vy
        places.append((x, y))
    return places


for mu in 0, 0.5, 0.8, 0.9, 0.95, 0.99:
    print(f"mu {mu:<4} {math.hypot(*walk(mu, 0.018, 100)[-1]):7.4f}")
