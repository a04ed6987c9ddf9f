"""Build what a first run needs: see `first_run`."""

import sys

from pipeline.toolchain import first_run

first_run.main(sys.argv[1:])
