"""One file per command: parse arguments, build the request, call one function, print."""
