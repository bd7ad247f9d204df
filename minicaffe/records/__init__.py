"""What a training leaves behind, and how it is drawn: its log, its facts, curves, pictures, TensorBoard files."""
