"""Layers that rescale by statistics of their neighbourhood."""
