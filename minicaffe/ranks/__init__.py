"""Training by several processes, on one machine or on many, which share the parts of each update."""
