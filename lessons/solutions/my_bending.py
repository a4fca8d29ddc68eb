"""Maps that turn, stretch, slant and move an image."""
import math


def affine_map(turn, stretch, slant, right, down):
    """Return for each pixel of the new image its place in the old one; 784 is paper."""
    cos, sin = math.cos(turn) / stretch, math.sin(turn) / stretch
    sources = []
    for i in range(28):
        for j in range(28):
            y, x = i - 13.5 - down, j - 13.5 - right
            x += slant * y
            column = math.floor(cos * x - sin * y + 14)
            row = math.floor(sin * x + cos * y + 14)
            inside = 0 <= row < 28 and 0 <= column < 28
            sources.append(28 * row + column if inside else 784)
    return sources


def bend(image, sources):
    """Return the image whose pixel k is pixel sources[k] of the old one."""
    old = image + [0]
    return [old[k] for k in sources]


def random_map(rng):
    """Return a map that changes an image a little, in every way at once."""
    def between(reach):
        return reach * (2 * rng.random() - 1)           # -reach to reach
    return affine_map(between(0.2), 1 + between(0.1), between(0.1),
                      between(1), between(1))
