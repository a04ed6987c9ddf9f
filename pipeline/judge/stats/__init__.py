"""Statistics: numbers in, numbers out; every method has its source."""
