"""Each kernel as its maths: a short numpy function, in the letters of the layers' datasheets.

Together they are the engine `plain`, and what every other engine is tested against. The definitions give the kernels
their names, so that this folder alone of the three engines' cannot be deleted.
"""
