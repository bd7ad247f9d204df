"""Layers of object detectors: boxes, and what is under them. Caffe's forks have them; BVLC's Caffe does not."""
