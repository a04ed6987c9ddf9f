"""What the check of a config of ClusterLoader2 says, of those that are wrong."""

from pathlib import Path

import pytest

from pipeline import toolchain
from pipeline.drivers.clusterloader2.check import check
from pipeline.drivers.clusterloader2.wire import ExpectedSummary
from pipeline.model.ports import Program
from pipeline.system.errors import ConfigError

pytestmark = pytest.mark.real

FILES = {
    "config.yaml": """\
{{$n := DefaultParam .CL2_N 3}}  # Secrets
name: example
namespace: {number: 2, prefix: example}
tuningSets:
- name: Uniform
  globalQPSLoad: {qps: 5, burst: 1}
steps:
- module: {path: modules/measure.yaml, params: {action: start}}
- name: begin
  measurements:
  - {identifier: Timer, method: Timer, params: {action: start, label: total}}
- name: create
  phases:
  - namespaceRange: {min: 1, max: 2}
    replicasPerNamespace: {{$n}}
    tuningSet: Uniform
    objectBundle:
    - {basename: secret, objectTemplatePath: secret.yaml}
- name: end
  measurements:
  - {identifier: Timer, method: Timer, params: {action: stop, label: total}}
- module: {path: modules/measure.yaml, params: {action: gather}}
- name: gather
  measurements:
  - {identifier: Timer, method: Timer, params: {action: gather}}
""",
    "modules/measure.yaml": """\
steps:
- name: {{.action}}
  measurements:
  - {identifier: Up, method: APIAvailability, params: {action: {{.action}}, pollFrequency: 1s}}
- name: {{.action}} mean
  measurements:
  - identifier: Mean
    method: GenericPrometheusQuery
    params:
      action: {{.action}}
      metricName: Mean
      metricVersion: v1
      unit: s
      queries: [{name: Mean, query: up}]
- name: {{.action}} SLI
  measurements:
  - identifier: SLI
    method: APIResponsivenessPrometheus
    params: {action: {{.action}}, summaryName: SLI}
""",
    "secret.yaml": """\
apiVersion: v1
kind: Secret
metadata: {name: "{{.Name}}"}
""",
}


@pytest.fixture(scope="module")
def expand() -> Program:
    return toolchain.program("expand")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A config that is right."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_a_config_is_known_by_the_reports_that_it_leaves(folder: Path, expand: Program) -> None:
    checked = check(folder / "config.yaml", {"CL2_N": 2, "CL2_M": 1}, expand)

    assert checked.expected == (
        ExpectedSummary("APIAvailability", "Up"),
        ExpectedSummary("GenericPrometheusQuery", "Mean", "GenericPrometheusQuery Mean"),
        ExpectedSummary("APIResponsivenessPrometheus", "SLI", "SLI"),
        ExpectedSummary("Timer", "Timer"),
    )
    assert checked.unused == ("CL2_M",)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        pytest.param(
            "config.yaml",
            "method: Timer, params: {action: start",
            "method: Timr, params: {action: start",
            "config.yaml:11: `Timr` is unknown, or needs more than an API server;"
            " did you mean `Timer`?",
            id="unknown method",
        ),
        pytest.param(
            "modules/measure.yaml",
            "APIAvailability",
            "PodStartupLatency",
            "modules/measure.yaml:4: `PodStartupLatency` is unknown, or needs more than an"
            " API server",
            id="method that needs pods",
        ),
        pytest.param(
            "modules/measure.yaml",
            "pollFrequency",
            "pollFrequenzy",
            "modules/measure.yaml:4: APIAvailability: pollFrequenzy: unknown parameter;"
            " did you mean `pollFrequency`?",
            id="unknown parameter",
        ),
        pytest.param(
            "modules/measure.yaml",
            "query: up",
            "queryText: up",
            "modules/measure.yaml:14: GenericPrometheusQuery: queries.0.queryText: unknown"
            " parameter; did you mean `query`?\n"
            "modules/measure.yaml:14: GenericPrometheusQuery: queries.0.query: field required",
            id="unknown parameter, deep inside",
        ),
        pytest.param(
            "modules/measure.yaml",
            "pollFrequency: 1s",
            "pollFrequency: soon",
            "modules/measure.yaml:4: APIAvailability: pollFrequency: `soon` is not a time such as",
            id="parameter that is no time",
        ),
        pytest.param(
            "modules/measure.yaml",
            "      unit: s\n",
            "",
            "modules/measure.yaml:9: GenericPrometheusQuery: `start` needs `unit`",
            id="parameter that only this action needs",
        ),
        pytest.param(
            "modules/measure.yaml",
            "metricName: Mean",
            "metricName: my_mean",
            "modules/measure.yaml:11: GenericPrometheusQuery: metricName: string should match",
            id="name that a report's file cannot have",
        ),
        pytest.param(
            "modules/measure.yaml",
            "action: {{.action}}, pollFrequency",
            "action: [{{.action}}], pollFrequency",
            "modules/measure.yaml:4: APIAvailability: action: input should be 'start', 'pause',",
            id="action that is a list",
        ),
        pytest.param(
            "config.yaml",
            "{number: 2",
            '{number: "2"',
            "config.yaml:3: number: input should be a valid integer",
            id="text for a number",
        ),
        pytest.param(
            "config.yaml",
            "    tuningSet: Uniform",
            "    tunningSet: Uniform",
            "config.yaml:16: tunningSet: unknown key; did you mean `tuningSet`?",
            id="unknown key",
        ),
        pytest.param(
            "config.yaml",
            "path: modules/measure.yaml, params: {action: start}",
            "path: modules/measures.yaml, params: {action: start}",
            "config.yaml:8: there is no file modules/measures.yaml",
            id="missing module",
        ),
        pytest.param(
            "config.yaml",
            "params: {action: gather}}\n- name: gather",
            "params: {}}\n- name: gather",
            "config.yaml:22: `action` is not given, and modules/measure.yaml:2 reads it",
            id="parameter of a module that is not given",
        ),
        pytest.param(
            "config.yaml",
            "secret.yaml",
            "secrets.yaml",
            "config.yaml:18: there is no file secrets.yaml",
            id="missing template",
        ),
        pytest.param(
            "secret.yaml",
            "{{.Name}}",
            "{{.Name}",
            "secret.yaml:3: bad character U+007D '}'",
            id="template that does not parse",
        ),
        pytest.param(
            "config.yaml",
            "    tuningSet: Uniform",
            "    tuningSet: Uniforms",
            "config.yaml:16: there is no tuning set `Uniforms`; did you mean `Uniform`?",
            id="unknown tuning set",
        ),
        pytest.param(
            "config.yaml",
            "steps:",
            "- name: Uniform\n  qpsLoad: {qps: 1}\nsteps:",
            "config.yaml:5: there are two tuning sets `Uniform`",
            id="tuning set that is there twice",
        ),
        pytest.param(
            "config.yaml",
            "steps:",
            "  qpsLoad: {qps: 1}\nsteps:",
            "config.yaml:5: `Uniform` has 2 kinds of load, not one",
            id="tuning set of two kinds",
        ),
        pytest.param(
            "config.yaml",
            "- name: create\n",
            "- name: nothing\n- name: create\n",
            "config.yaml:12: `nothing` must have either phases or measurements",
            id="step of nothing",
        ),
        pytest.param(
            "config.yaml",
            "  phases:\n",
            "  measurements: [{identifier: S, method: Sleep, params: {duration: 1s}}]\n  phases:\n",
            "config.yaml:12: `create` must have either phases or measurements",
            id="step of both",
        ),
        pytest.param(
            "config.yaml",
            "    tuningSet: Uniform",
            "    tuningSet: Uniform\n    namespaceList: [a]",
            "config.yaml:14: namespaces are given twice",
            id="namespaces given twice",
        ),
        pytest.param(
            "config.yaml",
            "min: 1, max: 2",
            "min: 3, max: 2",
            "config.yaml:14: there is no namespace from 3 to 2",
            id="no namespace",
        ),
        pytest.param(
            "config.yaml",
            "action: stop, label: total",
            "action: stop, label: all",
            "config.yaml:21: Timer: `all` is stopped and was not started\n"
            "config.yaml:11: Timer: `total` is started and not stopped",
            id="time that was not started",
        ),
        pytest.param(
            "config.yaml",
            "params: {action: start}}",
            "params: {action: gather}}",
            "modules/measure.yaml:4: APIAvailability `Up` is gathered and was not started",
            id="gathered and not started",
        ),
        pytest.param(
            "modules/measure.yaml",
            "APIAvailability, params: {action: {{.action}}",
            "APIAvailability, params: {action: start",
            "modules/measure.yaml:4: APIAvailability `Up` is started and not gathered",
            id="started and not gathered",
        ),
        pytest.param(
            "config.yaml",
            "Timer, params: {action: gather}}\n",
            "Timer, params: {action: gather}}\n- module: {path: modules/measure.yaml,"
            " params: {action: start}}\n- module: {path: modules/measure.yaml,"
            " params: {action: gather}}\n",
            "modules/measure.yaml:4: a second report is called APIAvailability, and may take the"
            " place of the first",
            id="report over another",
        ),
        pytest.param(
            "config.yaml",
            "Timer, params: {action: gather}}\n",
            "Timer, params: {action: gather}}\n"
            "  - {identifier: Wait, method: Sleep, params: {duration: 1s}}\n",
            "config.yaml:25: Timer `Timer` must be gathered in a step of its own",
            id="gathered beside something",
        ),
    ],
)
def test_a_wrong_config_is_refused_with_file_and_line(
    folder: Path, expand: Program, *, file: str, old: str, new: str, said: str
) -> None:
    path = folder / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))

    with pytest.raises(ConfigError) as caught:
        check(folder / "config.yaml", {}, expand)

    assert f"{caught.value}\n{caught.value.hint}".replace(f"{folder}/", "").startswith(said)


def test_a_config_that_is_not_there_is_said_so(tmp_path: Path, expand: Program) -> None:
    with pytest.raises(ConfigError, match=r"there is no file .*config\.yaml"):
        check(tmp_path / "config.yaml", {}, expand)
