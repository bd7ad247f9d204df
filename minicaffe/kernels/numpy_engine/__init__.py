"""One numpy implementation of each kernel: the definition that every engine must agree with."""
