"""Start a Prometheus that scrapes one target, and a gateway for ClusterLoader2's queries."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pipeline.model.ports import Program, Target
from pipeline.system import http_client, processes, tls
from pipeline.system.errors import LoadError, NetworkError
from pipeline.system.log import log

METRICS = "/milo-perf/gateway/metrics"
"""Path of the gateway's own metrics."""

_READY_TIMEOUT_S = 20.0
_SCRAPE_TIMEOUT_S = 20.0  # in addition to two scrapes
_MIN_TARGETS = 4  # ClusterLoader2 waits for so many, all of them healthy


@dataclass(frozen=True, slots=True)
class MonitoredEndpoint:
    """A gateway and a Prometheus for one target, while their context is open.

    Attributes:
        url: Base URL of the gateway before the target, without a trailing slash.
        ca_file: PEM file of the authority that signed the gateway's certificate.
        prometheus_url: Base URL of the Prometheus.
        check: Function that raises LoadError when the gateway or the Prometheus has ended.
    """

    url: str
    ca_file: Path
    prometheus_url: str
    check: Callable[[], None]

    def counts(self) -> Mapping[str, int]:
        """Return the gateway's request counts by outcome (passed, answered, refused, failed).

        Raises:
            LoadError: The gateway does not answer.
        """
        from prometheus_client.parser import text_string_to_metric_families

        text = http_client.text(f"{self.url}{METRICS}", ca_file=self.ca_file)
        families = text_string_to_metric_families(text)
        samples = [sample for family in families for sample in family.samples]
        return {sample.labels["outcome"]: int(sample.value) for sample in samples}


@dataclass(frozen=True, slots=True)
class ScrapeSource:
    """The endpoints of a target that a Prometheus scrapes.

    Attributes:
        metrics: URL of each component's text; each is a job with the component's name.
        ca_file: PEM file of the authority for the `https:` URLs.
        token_file: File with an administrator's token for the same URLs.
    """

    metrics: Mapping[str, str]
    ca_file: Path
    token_file: Path


class ActiveTarget(NamedTuple):
    """A scrape target in Prometheus' API; its health is `up`, `down` or `unknown`."""

    job: str
    url: str
    health: str
    error: str


@contextmanager
def monitor(
    target: Target,
    programs: Mapping[str, Program],
    out: Path,
    private: Path,
    *,
    scrape_s: float,
    rules: Sequence[Path] = (),
    prometheus_url: str = "",
) -> Iterator[MonitoredEndpoint]:
    """Start a Prometheus and a gateway for a target; leaving the context stops both.

    Args:
        target: The target.
        programs: `gateway`, and `prometheus` unless one exists already.
        out: Existing folder for the configuration and the logs.
        private: Existing folder for keys and for the data of the Prometheus; never kept.
        scrape_s: Seconds between two scrapes, and between two evaluations of the rules.
        rules: Files of recording rules.
        prometheus_url: URL of an existing Prometheus that scrapes the target; empty to start one.

    Raises:
        LoadError: A program did not start, or a component is not scraped.
    """
    identity = tls.create_identity(private / "gateway")
    launch = _MonitorLaunch(target, programs, out.absolute(), private.absolute(), identity)
    with ExitStack() as stack:
        if prometheus_url:
            endpoint = launch.gateway(stack, prometheus_url.rstrip("/"))
            _wait_until_scraped(endpoint, scrape_s)
        else:
            endpoint = launch.both(stack, scrape_s, rules)
        yield endpoint


@dataclass(frozen=True, slots=True)
class _MonitorLaunch:
    """The start of both programs for one target."""

    target: Target
    programs: Mapping[str, Program]
    out: Path
    private: Path
    identity: tls.ServerIdentity

    def both(self, stack: ExitStack, scrape_s: float, rules: Sequence[Path]) -> MonitoredEndpoint:
        """Start both; try another port if another process took Prometheus's meanwhile."""
        target = self.target
        source = ScrapeSource(target.metrics, target.ca_file, target.admin_token_file)
        for left in reversed(range(tls.MAX_STARTS)):
            with ExitStack() as attempt:
                (port,) = tls.free_ports(1)
                url = f"http://{tls.ADDRESS}:{port}"
                endpoint = self.gateway(attempt, url)
                gateway = (f"{endpoint.url}{METRICS}", endpoint.ca_file)
                config = prometheus_config(source, url, gateway, scrape_s, rules)
                (self.out / "prometheus.json").write_text(json.dumps(config, indent=2))
                service = attempt.enter_context(self._start("prometheus", self._argv(port)))
                try:
                    service.wait_ready(
                        partial(http_client.answers, f"{url}/-/ready"), _READY_TIMEOUT_S
                    )
                except processes.CommandError as error:
                    in_use = tls.ADDRESS_IN_USE in processes.log_tail(service.output)
                    if not (left and error.status and in_use):
                        raise
                    log.info("the port of Prometheus was taken meanwhile; trying another")
                    continue
                check = _check_of(service, endpoint.check)
                both = MonitoredEndpoint(endpoint.url, endpoint.ca_file, url, check)
                _wait_until_scraped(both, scrape_s)
                stack.enter_context(attempt.pop_all())
                return both
        raise AssertionError  # the last attempt returns or raises

    def gateway(self, stack: ExitStack, prometheus_url: str) -> MonitoredEndpoint:
        """Start the gateway before the target."""
        address = self.private / "gateway.address"
        address.unlink(missing_ok=True)
        argv = [
            str(self.programs["gateway"].path),
            *gateway_args(self.target.url, self.target.ca_file, prometheus_url, self.identity),
            f"--address-file={address}",
        ]
        service = stack.enter_context(self._start("gateway", argv))
        service.wait_ready(address.is_file, _READY_TIMEOUT_S)
        url = f"https://{address.read_text(encoding='ascii').strip()}"
        check = _check_of(service, lambda: None)
        return MonitoredEndpoint(url, self.identity.ca, prometheus_url, check)

    def _argv(self, port: int) -> list[str]:
        data = self.private / "prometheus"
        args = prometheus_args(self.out / "prometheus.json", data, f"{tls.ADDRESS}:{port}")
        return [str(self.programs["prometheus"].path), *args]

    def _start(self, name: str, argv: list[str]) -> AbstractContextManager[processes.Service]:
        return processes.background(argv, name=name, output=self.out / f"{name}.log")


def _check_of(service: processes.Service, others: Callable[[], None]) -> Callable[[], None]:
    def check() -> None:
        others()
        if status := service.exit_status():
            raise LoadError(
                f"{service.name} {status} while it was needed",
                hint=processes.log_tail(service.output),
            )

    return check


def _wait_until_scraped(endpoint: MonitoredEndpoint, scrape_s: float) -> None:
    """Return once the Prometheus has enough targets and all of them are up."""
    deadline = time.monotonic() + _SCRAPE_TIMEOUT_S + 2 * scrape_s
    while True:
        endpoint.check()
        targets = active_targets(endpoint.prometheus_url)
        lacking = [target for target in targets if target.health != "up"]
        if not lacking and len(targets) >= _MIN_TARGETS:
            return
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    if lacking:
        target = lacking[0]
        raise LoadError(
            f"Prometheus at {endpoint.prometheus_url} cannot scrape `{target.job}` at {target.url}:"
            f" {target.error or 'it was not tried yet'}",
            hint="ClusterLoader2 waits until each target of its Prometheus is up",
        )
    raise LoadError(
        f"Prometheus at {endpoint.prometheus_url} has {len(targets)} targets,"
        f" and ClusterLoader2 waits for {_MIN_TARGETS}",
        hint="let it scrape the API server, etcd, itself and the gateway",
    )


def active_targets(url: str) -> tuple[ActiveTarget, ...]:
    """Return the scrape targets of a Prometheus.

    Raises:
        LoadError: The Prometheus did not answer in time, or not as expected.
    """
    try:
        text = http_client.text(f"{url.rstrip('/')}/api/v1/targets?state=active")
    except NetworkError as error:
        raise LoadError(
            f"Prometheus at {url} does not answer: {error}",
            hint="is it there, and not too busy? its log is prometheus.log, if we started it",
        ) from error
    try:
        return tuple(
            ActiveTarget(
                str(one["labels"]["job"]),
                str(one["scrapeUrl"]),
                str(one["health"]),
                str(one["lastError"]),
            )
            for one in json.loads(text)["data"]["activeTargets"]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LoadError(f"what answers at {url} does not answer like a Prometheus") from error


def prometheus_args(config: Path, data: Path, address: str) -> tuple[str, ...]:
    """Return the arguments of a Prometheus.

    Args:
        config: File with its configuration.
        data: Folder for its data.
        address: Address on which it listens.
    """
    return (
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=1d",
        f"--web.listen-address={address}",
        "--log.level=warn",
    )


def gateway_args(
    url: str, ca_file: Path, prometheus_url: str, identity: tls.ServerIdentity
) -> tuple[str, ...]:
    """Return the arguments of a gateway, except for its address.

    Args:
        url: URL of the API server.
        ca_file: PEM file of the API server's authority.
        prometheus_url: URL of the Prometheus.
        identity: Certificate and key of the gateway, with paths as the gateway sees them.
    """
    return (
        f"--upstream={url}",
        f"--upstream-ca={ca_file}",
        f"--prometheus={prometheus_url}",
        f"--cert={identity.certificate}",
        f"--key={identity.key}",
    )


def prometheus_config(
    source: ScrapeSource,
    url: str,
    gateway: tuple[str, Path],
    scrape_s: float,
    rules: Sequence[Path],
) -> dict[str, Any]:
    """Return the configuration of a Prometheus that scrapes a target, the gateway and itself.

    Args:
        source: Endpoints of the target.
        url: URL of the Prometheus.
        gateway: URL of the gateway's metrics, and PEM file of its authority.
        scrape_s: Seconds between two scrapes, and between two evaluations of the rules.
        rules: Files of recording rules.
    """
    interval = f"{round(1000 * scrape_s)}ms"
    jobs = [
        _scrape_job(name, address, source.ca_file, source.token_file)
        for name, address in source.metrics.items()
    ]
    jobs += [
        _scrape_job("prometheus", f"{url}/metrics", None, None),
        _scrape_job("gateway", *gateway, None),
    ]
    return {
        "global": {
            "scrape_interval": interval,
            "scrape_timeout": interval,
            "evaluation_interval": interval,
        },
        "rule_files": [str(path.absolute()) for path in rules],
        "scrape_configs": jobs,
    }


def _scrape_job(
    name: str, url: str, ca_file: Path | None, token_file: Path | None
) -> dict[str, Any]:
    parts = urlsplit(url)
    job: dict[str, Any] = {
        "job_name": name,
        "scheme": parts.scheme,
        "metrics_path": parts.path,
        "static_configs": [{"targets": [parts.netloc]}],
    }
    if parts.scheme == "https":
        job["tls_config"] = {"ca_file": str(ca_file)}
        if token_file:
            job["authorization"] = {"credentials_file": str(token_file)}
    return job
