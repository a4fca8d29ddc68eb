"""A picture of a digit in MNIST's form."""
import math


def cut_out(rows):
    """Return the smallest rectangle of a picture with all of its ink."""
    rows = [row for row in rows if any(row)]
    columns = [column for column in zip(*rows) if any(column)]
    return [list(row) for row in zip(*columns)]


def shrink(row, count):
    """Return a row of count pixels, each the mean of what it covers of the old row."""
    share, new = len(row) / count, []
    for k in range(count):
        start, end = k * share, (k + 1) * share
        total = 0
        for j in range(math.floor(start), min(len(row), math.ceil(end))):
            total += row[j] * (min(end, j + 1) - max(start, j))
        new.append(total / share)
    return new


def scale(rows, height, width):
    """Return a picture of height x width pixels."""
    narrow = [shrink(row, width) for row in rows]
    columns = [shrink(column, height) for column in zip(*narrow)]
    return [list(row) for row in zip(*columns)]


def normalise(rows):
    """Return the 784 pixels of a picture in MNIST's form."""
    digit = cut_out(rows)
    factor = 20 / max(len(digit), len(digit[0]))
    digit = scale(digit, max(1, round(factor * len(digit))),
                  max(1, round(factor * len(digit[0]))))
    mass = sum(map(sum, digit))
    down = sum(i * sum(row) for i, row in enumerate(digit)) / mass
    right = sum(j * sum(column) for j, column in enumerate(zip(*digit))) / mass
    top, left = round(13.5 - down), round(13.5 - right)
    image = [0.0] * 784
    for i, row in enumerate(digit):
        for j, x in enumerate(row):
            if 0 <= top + i < 28 and 0 <= left + j < 28:
                image[28 * (top + i) + left + j] = x
    return image
