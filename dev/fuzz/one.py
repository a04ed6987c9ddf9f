"""Fuzz one reader in this process: `python -m dev.fuzz.one READER CORPUS …`."""

import logging
import random
import sys

import atheris

with atheris.instrument_imports(include=["pipeline", "prometheus_client", "zipfile", "json"]):
    from dev.fuzz.readers import READERS

from dev.fuzz import mutate


def main() -> None:
    """Begin; libFuzzer reads the rest of the arguments."""
    logging.disable()  # a warning for each input would be the slowest part
    name = sys.argv.pop(1)
    of_its_kind = mutate.of(name)

    def mutate_data(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.3:
            return bytes(atheris.Mutate(data, most))
        return of_its_kind(rng, data)[:most]

    atheris.Setup(sys.argv, READERS[name], custom_mutator=mutate_data)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
