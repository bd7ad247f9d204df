"""Each kernel as the maths: a short numpy function. Together they are the engine 'plain'."""
