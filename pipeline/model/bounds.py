"""Largest numbers that a suite, an environment or an option may have.

What is larger fits no machine, or cannot be sent to k6, Go or Kubernetes; it is refused before
anything is built.
"""

MAX_SECONDS = 30 * 86_400.0
"""Longest time."""

MIN_SECONDS = 0.001
"""Shortest time: k6 gets milliseconds."""

MAX_RATE = 10_000.0
"""Most that one second begins; an API server of Kubernetes answers fewer requests."""

MIN_RATE = 0.001
"""Least that one second begins: k6 gets three decimals."""

MAX_COUNT = 10_000_000
"""Most Projects, objects or iterations."""

MAX_VUS = 40_000
"""Most VUs of k6 for one arm: as many as its documentation expects of one process."""

MAX_OBJECT_BYTES = 2**20
"""Largest data of a Secret or a ConfigMap that Kubernetes accepts."""

MAX_SEED_DIGITS = 15
"""Most digits of a random seed, which JavaScript and JSON keep exactly."""
