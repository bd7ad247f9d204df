"""Find what goes wrong in a training, and what may have caused it."""
