#!/bin/sh
# A Python in which everything is installed: a new environment is this program again.
case "$1 $2" in
  "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip") ;;
  *) exec PYTHON_OF_THE_TESTS "$@" ;;
esac
