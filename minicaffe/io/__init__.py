"""Files that are read and written whole: weights, solver states, images."""
