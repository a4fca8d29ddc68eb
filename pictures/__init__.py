"""A picture file into the form of MNIST: decoding, finding the ink, normalizing."""
