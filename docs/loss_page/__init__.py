"""Builds docs/loss.html: sigmoid cross entropy in five versions, to slide, compare and find mistakes in (`make docs`)."""
