"""Makes docs/loss.html (`make docs`): sigmoid cross entropy in five versions, to slide and to find mistakes in."""
