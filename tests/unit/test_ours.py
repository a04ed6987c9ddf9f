"""Results as a suite of ours means them."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.model.results import ResultSet
from pipeline.model.subject import Arm, Product
from pipeline.runs import suite_file
from pipeline.runs.verified import verify
from pipeline.system.errors import BaselineError
from tests.publishing import honest

FILES = "project-burst/server_files"


def without(results: ResultSet, key: str, *arms: Arm) -> ResultSet:
    """Return results that lack a metric in some arms."""
    samples = {
        arm: tuple(s for s in kept if arm not in arms or s.key != key)
        for arm, kept in results.samples.items()
    }
    return replace(results, samples=samples)


def suite(tmp_path: Path, environment: str) -> suite_file.Suite:
    """Return the suite `pr`, to be run elsewhere."""
    text = suite_file.path_of("pr").read_text()
    path = tmp_path / "pr.toml"
    path.write_text(text.replace('kind = "local"', f'kind = "{environment}"', 1))
    return suite_file.load(path).suite


@pytest.mark.parametrize(
    ("environment", "arms", "lacking"),
    [
        pytest.param("local", tuple(Arm), (FILES,), id="here"),
        pytest.param("kind", tuple(Arm), (), id="a cluster does not tell"),
        pytest.param("kind", (Arm.CANDIDATE,), (FILES,), id="a cluster that tells of one build"),
    ],
)
def test_a_metric_that_a_cluster_does_not_tell_is_not_asked_for(
    environment: str, arms: tuple[Arm, ...], lacking: tuple[str, ...], tmp_path: Path
) -> None:
    found = without(honest(), FILES, *arms)
    assert verify(found, suite(tmp_path, environment), Product.MILO, None).lacking == lacking


def test_what_the_suite_does_not_have_is_left_out_and_said(tmp_path: Path) -> None:
    results = honest()
    candidate = results.samples[Arm.CANDIDATE][0]
    strange = replace(candidate, workload="of-its-own")
    samples = {**results.samples, Arm.CANDIDATE: (*results.samples[Arm.CANDIDATE], strange)}
    found = verify(replace(results, samples=samples), suite(tmp_path, "local"), Product.MILO, None)
    assert found.unknown == {strange.key}
    assert strange.key not in {s.key for s in found.without_unknown().samples[Arm.CANDIDATE]}
    assert found.without_unknown().samples[Arm.BASELINE] == found.results.samples[Arm.BASELINE]


def test_results_of_another_product_are_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match="of the product milo") as caught:
        verify(honest(), suite(tmp_path, "local"), Product.REFERENCE, None)
    assert "--product milo" in caught.value.hint


def test_results_cannot_say_what_does_not_gate(tmp_path: Path) -> None:
    results = honest()
    keys = tuple(s.key for s in results.samples[Arm.CANDIDATE] if s.metric.gate)
    judged = verify(replace(results, ungated=keys), suite(tmp_path, "local"), Product.MILO, None)
    assert judged == verify(results, suite(tmp_path, "local"), Product.MILO, None)
