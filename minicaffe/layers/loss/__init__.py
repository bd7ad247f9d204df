"""Losses, and the measures beside them."""
