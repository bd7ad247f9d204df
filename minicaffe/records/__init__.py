"""The files that a training leaves in its run folder, and how they are read and drawn; also TensorBoard's files."""
