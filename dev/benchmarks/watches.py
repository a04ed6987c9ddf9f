"""CPU of a load generator that holds 2,000 watches on each of two builds, and lost events."""

import os
import tempfile
from pathlib import Path

from pipeline import toolchain
from pipeline.drivers.watch_herd.config import RESULT
from pipeline.drivers.watch_herd.driver import WatchHerdDriver
from pipeline.drivers.watch_herd.result import percentiles, read_result
from pipeline.drivers.watch_herd.settings import WatchHerd
from pipeline.environments.local import LocalEnvironment, LocalSettings
from pipeline.model.subject import Arm, parse_spec

_LOAD = WatchHerd(
    kind="watch-herd",
    watches=2000,
    projects=50,
    objects=10,
    rate=50.0,
    list_rate=5.0,
    watch_timeout_s=10,
    duration_s=20.0,
    max_generator_cpu=1.0,
)


def main(argv: list[str]) -> None:
    """Load `reference`, or the builds given, and print the CPU, and every event by its fate."""
    specs = dict(zip(Arm, argv if len(argv) == len(Arm) else ("reference",) * 2, strict=True))
    artifacts = {arm: toolchain.artifact(parse_spec(spec)) for arm, spec in specs.items()}
    driver = WatchHerdDriver(_LOAD, toolchain.program("watch-herd"))
    environment = LocalEnvironment(LocalSettings(), toolchain.program("etcd"))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        with environment.launch(artifacts, out) as targets:
            load = driver.measure(targets, out, seed=1)
        found = read_result(out / RESULT)
    for reason in (*load.invalid, *load.warnings, *load.failed.values()):
        print(f"remark: {reason}")
    took_s = found.ended_s - found.began_s
    print(f"{_LOAD.title} on each of two builds, {_LOAD.rate:g} writes/s each, {took_s:.0f} s")
    print(f"CPU of the generator: {found.cpu_share * (os.cpu_count() or 1):.1%} of one core")
    for arm, one in found.arms.items():
        lag_ms = [1e3 * value for value in percentiles(one.lag_s).values()][:3]
        print(
            f"{arm}: {one.writes} writes, {one.expected} events expected, {one.lost} lost,"
            f" {one.duplicated} twice, {one.out_of_order} out of order, {one.foreign} foreign;"
            f" in step after {one.synced_s:.1f} s; lag"
            f" {' / '.join(f'{one:.1f}' for one in lag_ms)} ms"
        )
        if {"before", "open"} <= one.usage.keys():
            before, opened = one.usage["before"], one.usage["open"]
            print(
                f"{arm}: each watch has {(opened.goroutines - before.goroutines) / one.watches:.2f}"
                f" goroutines and {(opened.heap - before.heap) / one.watches / 1e3:.1f} kB of heap"
            )
