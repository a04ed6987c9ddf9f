"""Mathematics of samples: numbers in, numbers out."""
