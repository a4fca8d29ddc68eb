"""The project's trained network, in the form of my_network.py."""
import struct
import zipfile


def shipped(path="data/model.npz"):
    """Return W1, b1, W2, b2 as lists of rows."""
    network = []
    with zipfile.ZipFile(path) as file:
        for name, columns in (("layer1.weights", 128), ("layer1.bias", 128),
                              ("layer2.weights", 10), ("layer2.bias", 10)):
            data = file.read(name + ".npy")
            start = 10 + int.from_bytes(data[8:10], "little")
            count = (len(data) - start) // 8
            numbers = struct.unpack(f"<{count}d", data[start:])
            network.append([list(numbers[k:k + columns])
                            for k in range(0, count, columns)])
    return network
