"""The steps of the course, one folder each; `minicaffe/course/__init__.py` says how a step is written."""
