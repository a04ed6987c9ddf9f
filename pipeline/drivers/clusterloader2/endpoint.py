"""Endpoints at which ClusterLoader2 reaches the servers: directly, or through a gateway.

A gateway answers ClusterLoader2's queries from a Prometheus that scrapes the same server.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pipeline.drivers.clusterloader2.phases import CONFIGS
from pipeline.model.ports import Program, Target
from pipeline.model.replicas import by_component
from pipeline.model.subject import Arm
from pipeline.system import http_client, paths, processes, tls
from pipeline.system.errors import ConfigError, LoadError, NetworkError
from pipeline.system.log import log
from pipeline.system.private_folder import private_folder

METRICS = "/milo-perf/gateway/metrics"
"""Path of the gateway's own metrics."""

SCRAPE_S = 2.0
"""Scrape interval of our own Prometheus, in seconds: Milo's text has 17,000 lines."""

RULES = "prometheus/rules.yml"
"""Recording rules of our own Prometheus, relative to the configs."""

_ARM = "{arm}"
_READY_TIMEOUT_S = 20.0
_SCRAPE_TIMEOUT_S = 20.0  # in addition to two scrapes
_MIN_TARGETS = 4  # ClusterLoader2 waits for so many, all of them healthy


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The way by which a client reaches a server.

    Attributes:
        url: Base URL, without a trailing slash.
        ca_file: PEM file of the authority that signed the certificate shown there.
        token_file: File with the bearer token of the load's user.
        check: Function that raises LoadError when the gateway or the Prometheus has ended.
        has_gateway: Whether a gateway on this machine is before the server.
    """

    url: str
    ca_file: Path
    token_file: Path
    check: Callable[[], None] = lambda: None
    has_gateway: bool = False

    def counts(self) -> Mapping[str, int]:
        """Return the gateway's request counts by outcome (passed, answered, refused, failed)."""
        from prometheus_client.parser import text_string_to_metric_families

        if not self.has_gateway:
            return {}
        text = http_client.text(f"{self.url}{METRICS}", ca_file=self.ca_file)
        families = text_string_to_metric_families(text)
        samples = [sample for family in families for sample in family.samples]
        return {sample.labels["outcome"]: int(sample.value) for sample in samples}


@contextmanager
def open_endpoints(
    targets: Mapping[Arm, Target],
    out: Path,
    watchers: Mapping[str, Program],
    prometheus_url: str = "",
) -> Iterator[Mapping[Arm, Endpoint]]:
    """Open an endpoint for every target; leaving the context closes them.

    Args:
        targets: Targets of one or both arms.
        out: Existing folder for the files of a Prometheus and a gateway.
        watchers: `gateway`, and `prometheus` unless one exists; empty to start neither.
        prometheus_url: URL of an existing Prometheus; `{arm}` in it stands for the arm.

    Raises:
        ConfigError: One Prometheus would be asked about both arms.
        LoadError: A Prometheus or a gateway did not start, or a component is not scraped.
    """
    if prometheus_url and len(targets) > 1 and _ARM not in prometheus_url:
        raise ConfigError(
            f"the Prometheus at {prometheus_url} would be asked about both builds at once, and"
            " answer with the sum of them",
            hint=f"run one for each, and write `prometheus_url` with {_ARM} in it, such as"
            f" http://prometheus-{_ARM}:9090; or leave it out, and both are started",
        )
    with ExitStack() as stack:
        endpoints = {}
        for arm, target in targets.items():
            if not watchers:
                files = target.ca_file, target.token_file
                endpoints[arm] = Endpoint(target.url, *files)
                continue
            folder = out / arm / "monitoring"
            folder.mkdir(parents=True)
            monitored = monitor(
                target,
                watchers,
                folder,
                stack.enter_context(private_folder(folder)),
                rules=[paths.project_path(CONFIGS, RULES)],
                prometheus_url=prometheus_url.replace(_ARM, arm),
            )
            endpoints[arm] = stack.enter_context(monitored)
        yield endpoints


@contextmanager
def monitor(
    target: Target,
    programs: Mapping[str, Program],
    out: Path,
    private: Path,
    *,
    scrape_s: float = SCRAPE_S,
    rules: Sequence[Path] = (),
    prometheus_url: str = "",
) -> Iterator[Endpoint]:
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
    out, private = out.absolute(), private.absolute()
    launch = _MonitorLaunch(
        target, programs, out, private, tls.create_identity(private / "gateway")
    )
    with ExitStack() as stack:
        if prometheus_url:
            prometheus_url = prometheus_url.rstrip("/")
            endpoint = launch.gateway(stack, prometheus_url)
        else:
            endpoint, prometheus_url = launch.both(stack, scrape_s, rules)
        _wait_until_scraped(prometheus_url, endpoint.check, scrape_s)
        yield endpoint


@dataclass(frozen=True, slots=True)
class _MonitorLaunch:
    """The start of both programs for one target."""

    target: Target
    programs: Mapping[str, Program]
    out: Path
    private: Path
    identity: tls.ServerIdentity

    def both(
        self, stack: ExitStack, scrape_s: float, rules: Sequence[Path]
    ) -> tuple[Endpoint, str]:
        """Start both; try another port if another process took Prometheus's meanwhile."""
        path = self.out / "prometheus.json"
        for left in reversed(range(tls.MAX_STARTS)):
            with ExitStack() as attempt:
                (port,) = tls.free_ports(1)
                address = f"{tls.ADDRESS}:{port}"
                url = f"http://{address}"
                endpoint = self.gateway(attempt, url)
                gateway = (f"{endpoint.url}{METRICS}", endpoint.ca_file)
                config = prometheus_config(self.target, url, gateway, scrape_s, rules)
                path.write_text(json.dumps(config, indent=2))
                args = prometheus_args(path, self.private / "prometheus", address)
                service = self._start(attempt, "prometheus", *args)
                ready = partial(http_client.answers, f"{url}/-/ready")
                try:
                    service.wait_ready(ready, _READY_TIMEOUT_S)
                except processes.CommandError as error:
                    in_use = tls.ADDRESS_IN_USE in processes.log_tail(service.output)
                    if not (left and error.status and in_use):
                        raise
                    log.info("the port of Prometheus was taken meanwhile; trying another")
                    continue
                stack.enter_context(attempt.pop_all())
                check = _check_of(service, endpoint.check)
                return replace(endpoint, check=check), url
        raise AssertionError  # the last attempt returns or raises

    def gateway(self, stack: ExitStack, prometheus_url: str) -> Endpoint:
        """Start the gateway before the target."""
        target, address = self.target, self.private / "gateway.address"
        address.unlink(missing_ok=True)
        args = gateway_args(target.url, target.ca_file, prometheus_url, self.identity)
        service = self._start(stack, "gateway", *args, f"--address-file={address}")
        service.wait_ready(address.is_file, _READY_TIMEOUT_S)
        url = f"https://{address.read_text(encoding='ascii').strip()}"
        token_file, check = target.token_file, _check_of(service, lambda: None)
        return Endpoint(url, self.identity.ca, token_file, check, has_gateway=True)

    def _start(self, stack: ExitStack, name: str, *args: str) -> processes.Service:
        argv = [str(self.programs[name].path), *args]
        output = self.out / f"{name}.log"
        return stack.enter_context(processes.background(argv, name=name, output=output))


def _check_of(service: processes.Service, others: Callable[[], None]) -> Callable[[], None]:
    def check() -> None:
        others()
        if status := service.exit_status():
            raise LoadError(
                f"{service.name} {status} while it was needed",
                hint=processes.log_tail(service.output),
            )

    return check


def _wait_until_scraped(url: str, check: Callable[[], None], scrape_s: float) -> None:
    """Return once a Prometheus has enough targets and all of them are up."""
    deadline = time.monotonic() + _SCRAPE_TIMEOUT_S + 2 * scrape_s
    while True:
        check()
        targets = active_targets(url)
        lacking = [target for target in targets if target.health != "up"]
        if not lacking and len(targets) >= _MIN_TARGETS:
            return
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    if lacking:
        target = lacking[0]
        raise LoadError(
            f"Prometheus at {url} cannot scrape `{target.job}` at {target.url}:"
            f" {target.error or 'it was not tried yet'}",
            hint="ClusterLoader2 waits until each target of its Prometheus is up",
        )
    raise LoadError(
        f"Prometheus at {url} has {len(targets)} targets,"
        f" and ClusterLoader2 waits for {_MIN_TARGETS}",
        hint="let it scrape the API server, etcd, itself and the gateway",
    )


class ActiveTarget(NamedTuple):
    """A scrape target in Prometheus' API; its health is `up`, `down` or `unknown`."""

    job: str
    url: str
    health: str
    error: str


def active_targets(url: str) -> tuple[ActiveTarget, ...]:
    """Return the scrape targets of a Prometheus, or raise LoadError."""
    try:
        text = http_client.text(f"{url}/api/v1/targets?state=active")
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
    """Return the arguments of a Prometheus that listens on an address."""
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
    """Return the arguments of a gateway before an API server, except for its address."""
    return (
        f"--upstream={url}",
        f"--upstream-ca={ca_file}",
        f"--prometheus={prometheus_url}",
        f"--cert={identity.certificate}",
        f"--key={identity.key}",
    )


def prometheus_config(
    target: Target, url: str, gateway: tuple[str, Path], scrape_s: float, rules: Sequence[Path]
) -> dict[str, Any]:
    """Return the configuration of a Prometheus that scrapes a target, the gateway and itself.

    Args:
        target: The target; each component is a job with the component's name, over its replicas.
        url: URL of the Prometheus.
        gateway: URL of the gateway's metrics, and PEM file of its authority.
        scrape_s: Seconds between two scrapes, and between two evaluations of the rules.
        rules: Files of recording rules.
    """
    interval = f"{round(1000 * scrape_s)}ms"
    jobs = [
        _scrape_job(name, list(replicas.values()), target.ca_file, target.admin_token_file)
        for name, replicas in by_component(target.metrics).items()
    ]
    gateway_url, gateway_ca = gateway
    jobs += [
        _scrape_job("prometheus", [f"{url}/metrics"], None, None),
        _scrape_job("gateway", [gateway_url], gateway_ca, None),
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
    name: str, urls: Sequence[str], ca_file: Path | None, token_file: Path | None
) -> dict[str, Any]:
    """Return a job of servers whose URLs differ in nothing but their host and port."""
    parts = urlsplit(urls[0])
    job: dict[str, Any] = {
        "job_name": name,
        "scheme": parts.scheme,
        "metrics_path": parts.path,
        "static_configs": [{"targets": [urlsplit(url).netloc for url in urls]}],
    }
    if parts.scheme == "https":
        job["tls_config"] = {"ca_file": str(ca_file)}
        if token_file:
            job["authorization"] = {"credentials_file": str(token_file)}
    return job
