"""Watch a net compute: run it line by line, and write what happened into one HTML page."""
