"""Fast arithmetic: a row of a matrix in one integer, and layers made of such rows."""
