"""Stop and resume a training: write snapshots and resume files, delete old ones, and lock the snapshots."""
