"""How long a training runs and what it counts: epochs, passes per update, early stopping, reported outputs."""
