"""The driver `watch-herd`: thousands of watches, while writers change what they watch."""
