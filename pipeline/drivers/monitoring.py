"""A real Prometheus that watches one target, and the gateway by which ClusterLoader2 asks it."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.drivers import prometheus_api
from pipeline.drivers.monitoring_config import (
    METRICS,
    Seen,
    configuration,
    gateway_args,
    prometheus_args,
)
from pipeline.drivers.prometheus_api import Point
from pipeline.model.ports import Program, Target
from pipeline.system import http_client, processes, tls
from pipeline.system.errors import LoadError
from pipeline.system.log import log

_READY_S = 20.0
_SCRAPED_S = 20.0  # beside two scrapes
_FEWEST = 4  # targets that ClusterLoader2 waits for, all of them healthy


@dataclass(frozen=True, slots=True)
class Monitored:
    """A target that is watched, while the context is open.

    Attributes:
        url: Base URL of the gateway before the target, without a trailing slash.
        ca_file: PEM file of the authority that signed the gateway's certificate.
        prometheus_url: Base URL of the Prometheus.
        check: Raises LoadError when the gateway or the Prometheus has ended.
    """

    url: str
    ca_file: Path
    prometheus_url: str
    check: Callable[[], None]

    def query(self, expression: str, over_s: float = 0.0) -> tuple[Point, ...]:
        """Return what Prometheus answers; at least one point.

        Args:
            expression: In PromQL, with an instant vector as its value.
            over_s: How far back the answer looks; a target must have been up all that time.

        Raises:
            LoadError: No Prometheus, none in time, a wrong expression, a target that was down, or
                nothing that the expression fits.
        """
        prometheus_api.check_up(self.prometheus_url, over_s)
        found = prometheus_api.points(self.prometheus_url, expression)
        if not found:
            raise LoadError(
                f"Prometheus has nothing for `{expression}`",
                hint="is the metric one of this server's, and was it scraped in that time?",
            )
        return found

    def counts(self) -> Mapping[str, int]:
        """Return how many requests the gateway passed, answered and refused, and what failed.

        Raises:
            LoadError: The gateway does not answer.
        """
        from prometheus_client.parser import text_string_to_metric_families

        text = http_client.text(f"{self._origin()}{METRICS}", ca_file=self.ca_file)
        families = text_string_to_metric_families(text)
        samples = [sample for family in families for sample in family.samples]
        return {sample.labels["outcome"]: int(sample.value) for sample in samples}

    def _origin(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


@contextmanager
def monitored(
    target: Target,
    programs: Mapping[str, Program],
    out: Path,
    private: Path,
    *,
    scrape_s: float,
    rules: Sequence[Path] = (),
    prometheus_url: str = "",
) -> Iterator[Monitored]:
    """Watch a target, and open a gateway before it; leaving stops what was started.

    Args:
        target: What is watched.
        programs: `gateway`, and `prometheus` unless there is one already.
        out: Existing folder for the configuration and the logs.
        private: Existing folder for keys and for the data of the Prometheus; never kept.
        scrape_s: Seconds between two scrapes, and between two evaluations of the rules.
        rules: Files of recording rules.
        prometheus_url: Of a Prometheus that exists and scrapes the target; none is started then.

    Raises:
        LoadError: Something did not start, or a component is not scraped.
    """
    identity = tls.identity(private / "gateway")
    launch = _Launch(target, programs, out.absolute(), private.absolute(), identity)
    with ExitStack() as stack:
        if prometheus_url:
            door = launch.gateway(stack, prometheus_url.rstrip("/"))
            _wait_until_scraped(door, scrape_s)
        else:
            door = launch.both(stack, scrape_s, rules)
        yield door


@dataclass(frozen=True, slots=True)
class _Launch:
    """What is started for one target."""

    target: Target
    programs: Mapping[str, Program]
    out: Path
    private: Path
    identity: tls.Identity

    def both(self, stack: ExitStack, scrape_s: float, rules: Sequence[Path]) -> Monitored:
        """Start both; once more, with another port, where Prometheus's was taken meanwhile."""
        for left in reversed(range(tls.TRIES)):
            with ExitStack() as attempt:
                (port,) = tls.free_ports(1)
                url = f"http://{tls.ADDRESS}:{port}"
                door = self.gateway(attempt, url)
                seen = Seen(self.target.metrics, self.target.ca_file, self.target.admin_token_file)
                gateway = (f"{door.url}{METRICS}", door.ca_file)
                config = configuration(seen, url, gateway, scrape_s, rules)
                (self.out / "prometheus.json").write_text(json.dumps(config, indent=2))
                service = attempt.enter_context(self._started("prometheus", self._argv(port)))
                try:
                    service.wait_ready(partial(http_client.answers, f"{url}/-/ready"), _READY_S)
                except processes.CommandError as error:
                    in_use = tls.IN_USE in processes.log_tail(service.output)
                    if not (left and error.status and in_use):
                        raise
                    log.info("the port of Prometheus was taken meanwhile; trying another")
                    continue
                both = Monitored(door.url, door.ca_file, url, _ended(service, door.check))
                _wait_until_scraped(both, scrape_s)
                stack.enter_context(attempt.pop_all())
                return both
        raise AssertionError  # the last attempt returns or raises

    def gateway(self, stack: ExitStack, prometheus_url: str) -> Monitored:
        """Start the gateway before the target."""
        address = self.private / "gateway.address"
        address.unlink(missing_ok=True)
        argv = [
            str(self.programs["gateway"].path),
            *gateway_args(self.target.url, self.target.ca_file, prometheus_url, self.identity),
            f"--address-file={address}",
        ]
        service = stack.enter_context(self._started("gateway", argv))
        service.wait_ready(address.is_file, _READY_S)
        url = f"https://{address.read_text(encoding='ascii').strip()}"
        return Monitored(url, self.identity.ca, prometheus_url, _ended(service, lambda: None))

    def _argv(self, port: int) -> list[str]:
        data = self.private / "prometheus"
        args = prometheus_args(self.out / "prometheus.json", data, f"{tls.ADDRESS}:{port}")
        return [str(self.programs["prometheus"].path), *args]

    def _started(self, name: str, argv: list[str]) -> AbstractContextManager[processes.Service]:
        return processes.background(argv, name=name, output=self.out / f"{name}.log")


def _wait_until_scraped(door: Monitored, scrape_s: float) -> None:
    """Return once every target of the Prometheus is up, and there are enough of them."""
    deadline = time.monotonic() + _SCRAPED_S + 2 * scrape_s
    while True:
        door.check()
        targets = prometheus_api.targets(door.prometheus_url)
        lacking = [target for target in targets if target.health != "up"]
        if not lacking and len(targets) >= _FEWEST:
            return
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    if lacking:
        target = lacking[0]
        raise LoadError(
            f"Prometheus at {door.prometheus_url} cannot scrape `{target.job}` at {target.url}:"
            f" {target.error or 'it was not tried yet'}",
            hint="ClusterLoader2 waits until each target of its Prometheus is up",
        )
    raise LoadError(
        f"Prometheus at {door.prometheus_url} has {len(targets)} targets,"
        f" and ClusterLoader2 waits for {_FEWEST}",
        hint="let it scrape the API server, etcd, itself and the gateway",
    )


def _ended(service: processes.Service, others: Callable[[], None]) -> Callable[[], None]:
    def check() -> None:
        others()
        if status := service.exit_status():
            raise LoadError(
                f"{service.name} {status} while it was needed",
                hint=processes.log_tail(service.output),
            )

    return check
