"""Layers that nearly every net has."""
