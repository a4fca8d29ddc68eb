"""A row of whole numbers in one integer."""


def encode(numbers, base):
    """Return numbers[0] + numbers[1] * base + numbers[2] * base^2 + ..."""
    row = 0
    for number in reversed(numbers):
        row = row * base + number
    return row


def decode(row, count, base):
    """Return the numbers of a row, each of which lies in -base/2 .. base/2 - 1."""
    half = base // 2
    row += encode([half] * count, base)                 # the bias
    numbers = []
    for _ in range(count):
        row, digit = divmod(row, base)
        numbers.append(digit - half)
    return numbers
