"""The operating system and the network: processes, files, locks, HTTP, the terminal."""
