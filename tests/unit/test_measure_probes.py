"""What a probe says becomes a value, a warning or the reason why a trial does not count."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from pipeline.model.subject import Arm
from pipeline.probes.registry import OPT_IN_PROBES, OptInProbe, opt_in_probes
from pipeline.runs.suite_file import Suite, load
from pipeline.system.errors import LoadError
from tests.fakes import SUITE, Bench, FakeDriver, FakeProbe, applied, tiny


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return tiny(tmp_path)


@pytest.mark.parametrize("at_once", [True, False], ids=["on entering", "when asked"])
def test_a_probe_that_fails_is_a_warning_and_a_missing_metric(
    suite: Suite, tmp_path: Path, *, at_once: bool
) -> None:
    probe = FakeProbe(error="no answer", fails_at_once=at_once)
    bench = Bench(suite, tmp_path, FakeDriver([applied()]), probe)
    *_, results = bench.run()

    assert results.samples[Arm.BASELINE][0].values == (0.01,) * 3
    assert results.samples[Arm.BASELINE][1].values == (None,) * 3
    assert "crud: no answer" in results.trials[0].warnings
    assert any("nothing reported `server.cpu`" in said for said in results.trials[0].warnings)


def test_a_metric_that_nothing_reports_is_said_after_the_first_pair(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "misspelled.toml"
    path.write_text(SUITE.replace('"server.cpu"', '"server.cpux"') + "gate = true\n")
    pairs = Bench(load(path).suite, tmp_path, FakeDriver([applied()])).run()
    next(pairs)
    assert "has no value" not in caplog.text
    next(pairs)
    said = "the first pair has no value of crud/cpu (nothing reported `server.cpux`)"
    assert caplog.text.count(said) == 1
    list(pairs)
    assert caplog.text.count("has no value") == 1


def test_a_restart_in_both_arms_makes_the_pair_invalid_and_names_it(
    suite: Suite, tmp_path: Path
) -> None:
    bench = Bench(suite, tmp_path, FakeDriver([applied()]), FakeProbe(restarts=1))
    with pytest.raises(LoadError, match="the server of the candidate restarted under crud"):
        list(bench.run())


@pytest.mark.parametrize("cpu_s", [-2.0, float("inf")])
def test_a_value_that_a_metric_cannot_have_is_missing_and_no_crash(
    suite: Suite, tmp_path: Path, cpu_s: float
) -> None:
    *_, results = Bench(suite, tmp_path, FakeDriver([applied()]), FakeProbe(cpu_s=cpu_s)).run()

    assert results.samples[Arm.BASELINE][1].values == (None,) * 3
    assert any("is not valid on the ratio scale" in said for said in results.trials[0].warnings)


def test_a_suite_may_name_each_opt_in_probe_and_no_other() -> None:
    names: TypeAdapter[str] = TypeAdapter(OptInProbe)
    assert [names.validate_python(name) for name in opt_in_probes()] == list(OPT_IN_PROBES)
    with pytest.raises(ValidationError):
        names.validate_python("process")
