"""How a training is stopped and resumed: snapshots, the resume file beside them, which are kept, who may write."""
