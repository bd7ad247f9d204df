"""The products that a number is the sum of."""

def forward(*_): return []
def backward(*_): return []
