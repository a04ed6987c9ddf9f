"""Nothing that decides comes from an artifact, whatever its fields say."""

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model.publication import Outcome, Publication
from pipeline.model.results import Interleave, Machine
from pipeline.model.spreads import PairSpread, RunSpreads, SpreadHistory
from pipeline.model.subject import Arm, Product
from pipeline.publish import checks, trusted
from pipeline.publish.answers import SEVERITY
from pipeline.publish.event import Event
from pipeline.publish.options import FailOn, PublishOptions
from pipeline.publish.pull import PullRequest
from pipeline.runs import priors, suite_file
from pipeline.storage import codec
from tests.builders import NOW
from tests.github.fake import BASE
from tests.github.fake import GitHub as Fake
from tests.publications import CREATE, HEAD, ORIGIN, QUIET, row, run
from tests.publishing import ALL, FAST, GATES, Publish, finished, honest, of_commit

EVENT = Event(replace(ORIGIN, is_fork=True), is_of_pull=True, started_at=NOW, conclusion="success")
WANTED = PublishOptions(key="pr", suite="pr")
KNOWN = trusted.GitHubFacts(PullRequest(5, frozenset(), "main", BASE), lambda: ("main.go",))
JUDGED = {
    "passed": honest(),
    "regressed": honest(**{GATES: 1.31}),
    "regressed, of Milo alone": honest(object_crud_manager_heap=1.31),
    "regressed in a share": honest(object_crud_errors_share=2.0),
}


def concluded(found: Publication) -> str:
    return checks.conclusion(found.outcome, FailOn.REGRESSION)


def published(body: Mapping[str, Any] | None, **files: str) -> Publication:
    """Return what is published of an artifact, of which only the trusted inputs are ours."""
    with TemporaryDirectory(prefix="untrusted-") as made:
        folder = Path(made)
        if body is not None:
            (folder / "results.json").write_text(json.dumps(body))
        for name, text in files.items():
            (folder / f"{name}.txt").write_text(text)
        return trusted.publication(folder, EVENT, (), WANTED, KNOWN)


@cache
def body_of(which: str) -> str:
    return codec.RESULTS.dumps(of_commit(JUDGED[which], HEAD))


@cache
def decided(which: str) -> str:
    """Return the conclusion that the numbers and the trusted inputs have."""
    return concluded(published(json.loads(body_of(which))))


def test_the_honest_ones_are_what_they_are_called() -> None:
    assert {which: decided(which) for which in JUDGED} == {
        "passed": "success",
        "regressed": "failure",
        "regressed, of Milo alone": "failure",
        "regressed in a share": "failure",
    }


TEXT = st.text(max_size=12) | st.sampled_from(["reference", "milo", f"source:.@{HEAD}", "smoke"])
TEXTS = st.dictionaries(TEXT, TEXT, max_size=3)
TIMES = st.datetimes(timezones=st.just(UTC)).map(lambda time: time.isoformat())
NUMBERS = st.floats(min_value=1e-9, max_value=1e9)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "suite": TEXT,
    "suite_digest": TEXT,
    "environment": TEXT,
    "interleave": st.sampled_from(["request", "trial"]),
    "pairs_asked": st.integers(-1, 40),
    "looks": st.lists(st.integers(1, 20), max_size=4).map(sorted),
    "seed": st.integers(),
    "machine": st.fixed_dictionaries({"fingerprint": TEXTS, "facts": TEXTS}),
    "tools": st.dictionaries(
        TEXT, st.fixed_dictionaries({"version": TEXT, "digest": TEXT}), max_size=2
    ),
    "taken_at": TIMES | st.just(NOW.isoformat()),
    "stored": st.none(),
    "prior": st.fixed_dictionaries(
        {
            "source": TEXT,
            "freedom": NUMBERS,
            "spreads": st.dictionaries(
                st.sampled_from(["object-crud/get_p50", "object-crud/manager_heap"]),
                st.fixed_dictionaries({"variance": st.floats(0, 1e9), "runs": st.integers(1, 99)}),
            ),
        }
    ),
    "stops_at_red": st.booleans(),
    "load_digest": TEXT,
}
SUBJECT: dict[str, st.SearchStrategy[Any]] = {"spec": TEXT, "digest": TEXT, "facts": TEXTS}
TRIAL: dict[str, st.SearchStrategy[Any]] = {
    "invalid": st.lists(TEXT, max_size=1),
    "warnings": st.lists(TEXT, max_size=1),
    "duration_s": NUMBERS,
    "position": st.integers(0, 1),
    "started_at": TIMES,
    "failures": st.lists(st.fixed_dictionaries({"what": TEXT, "log": TEXT}), max_size=1),
}
CUTOFFS = st.lists(st.sampled_from(["at least", "nothing done", None]), min_size=5, max_size=5)
METRIC: dict[str, st.SearchStrategy[Any]] = {
    "name": TEXT,
    "unit": st.sampled_from(["s", "1", "B", "1/s"]),
    "better": st.sampled_from(["lower", "higher"]),
    "margin": NUMBERS,
    "gate": st.booleans(),
    "scale": st.sampled_from(["ratio", "difference"]),
    "floor": st.floats(min_value=0, max_value=10),
}


@st.composite
def forged(draw: st.DrawFn, which: str) -> dict[str, Any]:
    """Return an artifact with honest numbers, and anything in some of its other fields."""
    body: dict[str, Any] = copy.deepcopy(json.loads(body_of(which)))
    at: dict[str, Callable[[], tuple[dict[str, Any], Mapping[str, st.SearchStrategy[Any]]]]] = {
        "top": lambda: (body, FIELDS),
        "subject": lambda: (body["subjects"][draw(st.sampled_from(list(Arm)))], SUBJECT),
        "trial": lambda: (draw(st.sampled_from(body["trials"])), TRIAL),
        "metric": lambda: (sample()["metric"], METRIC),
        "workload": lambda: (sample(), {"workload": TEXT, "cutoffs": CUTOFFS}),
        "sample": lambda: (sample(), {}),
    }

    def sample() -> dict[str, Any]:
        name = draw(st.sampled_from(["get_p50", "manager_heap", "errors_share"]) | st.none())
        samples = body["samples"].get(draw(st.sampled_from(list(Arm)))) or [{"metric": {}}]
        found = [one for one in samples if one["metric"].get("name") == name]
        chosen: dict[str, Any] = found[0] if found else draw(st.sampled_from(samples))
        return chosen

    for _ in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(sorted(at)))
        if kind == "sample":
            arms = draw(st.sampled_from([[Arm.BASELINE], [Arm.CANDIDATE], list(Arm)]))
            name = sample()["metric"].get("name")
            for arm in arms:
                kept = [s for s in body["samples"].get(arm, []) if s["metric"].get("name") != name]
                body["samples"][arm] = kept
            continue
        of, fields = at[kind]()
        field = draw(st.sampled_from(sorted(fields)))
        if kind == "workload" and field == "cutoffs":
            name = of.get("metric", {}).get("name")
            said = draw(st.just(["at least"] * 5) | CUTOFFS)
            for samples in body["samples"].values():
                for one in samples:
                    if one["metric"].get("name") == name:
                        one["cutoffs"] = said
        elif draw(st.integers(0, 9)) == 0:
            of.pop(field, None)
        else:
            of[field] = draw(fields[field])
    return body


@settings(max_examples=120, deadline=None)
@given(data=st.data(), which=st.sampled_from(sorted(JUDGED)))
def test_whatever_its_other_fields_say_it_is_never_better_than_its_numbers(
    data: st.DataObject, which: str
) -> None:
    body = data.draw(forged(which) | st.none())
    names = st.sampled_from(["skipped", "waiting", "error"])
    files = data.draw(st.dictionaries(names, st.text(min_size=1, max_size=9), max_size=2))
    found = concluded(published(body, **files))
    least = "action_required" if body is None else decided(which)
    assert SEVERITY.index(found) >= SEVERITY.index(least)


def changed(which: str, **parts: Any) -> dict[str, Any]:  # noqa: ANN401 (JSON)
    return {**json.loads(body_of(which)), **parts}


def prior_of(value: float, freedom: float = 1e9) -> dict[str, Any]:
    """Return a prior that an artifact may bring, of every metric."""
    keys = [
        f"{s['workload']}/{s['metric']['name']}" for s in changed("passed")["samples"]["candidate"]
    ]
    spreads = {key: {"variance": value, "runs": 99} for key in keys}
    return {"source": "99 runs on this machine", "freedom": freedom, "spreads": spreads}


@pytest.mark.parametrize("value", [0.0, 1e-12, 1e6], ids=["none", "tiny", "huge"])
@pytest.mark.parametrize("which", sorted(JUDGED))
def test_a_prior_of_its_own_changes_nothing(
    value: float, which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tiny variance would make noise a regression, a huge one would hide any."""
    monkeypatch.setattr(priors, "shipped_path", lambda *_: tmp_path / "none.json")
    honest_one, forged_one = (
        published(changed(which)),
        published(changed(which, prior=prior_of(value))),
    )
    assert forged_one.report is not None
    assert honest_one.report is not None
    assert forged_one.report.results.prior is None
    assert forged_one.report.findings == honest_one.report.findings
    assert forged_one.outcome is honest_one.outcome
    assert "judged without a prior, not by the one in its results" in forged_one.notes


def ship(monkeypatch: pytest.MonkeyPatch, folder: Path, value: float = 1e-4) -> str:
    """Let the suite `pr` ship spreads, and return the source of the prior that they give."""
    suite = suite_file.load(suite_file.path_of("pr")).suite
    of = priors.prior_request(suite, Product.MILO, Interleave.REQUEST)
    runs = tuple(
        RunSpreads(
            f"run-{at}",
            NOW + timedelta(hours=at),
            {"logical cpus": "2"},
            dict.fromkeys(of.keys, PairSpread(value, 2)),
        )
        for at in range(10)
    )
    codec.SPREADS.write(folder / "pr-milo.json", SpreadHistory(of.conditions, runs))
    monkeypatch.setattr(priors, "shipped_path", lambda *_: folder / "pr-milo.json")
    found = priors.shipped_prior(of)
    assert found is not None
    return found.source


@pytest.mark.parametrize("own", [None, prior_of(1e-12), prior_of(1e6)], ids=["no", "tiny", "huge"])
def test_the_prior_is_the_one_that_our_suite_ships(
    own: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = ship(monkeypatch, tmp_path)
    body = changed(
        "passed", prior=own, load_digest="anything", machine={"fingerprint": {}, "facts": {}}
    )
    found = published(body)
    assert found.report is not None
    prior = found.report.results.prior
    assert prior is not None
    assert (prior.source, prior.degrees_of_freedom) == (source, 4.0)
    assert {one.variance for one in prior.spreads.values()} == {1e-4}
    assert any("not by the one in its results" in note for note in found.notes) is bool(own)


def test_results_do_not_take_a_gate_away() -> None:
    key = "object-crud/create_p50"
    honest_one, forged_one = (
        published(changed("passed")),
        published(changed("passed", ungated=[key, "of/nothing"])),
    )
    assert honest_one.report is not None
    assert forged_one.report is not None
    assert forged_one.report.findings == honest_one.report.findings
    assert set(forged_one.notes) - set(honest_one.notes) == {
        f"did not gate on its machine, but gates here: {key}"
    }


def test_what_our_prior_says_cannot_be_decided_does_not_gate_there_either(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ship(monkeypatch, tmp_path, 100.0)
    key = "object-crud/create_p50"
    found = published(changed("passed", ungated=[key]))
    assert found.report is not None
    assert key in found.report.results.ungated
    gating = {f.comparison.key for f in found.report.gating}
    assert key not in gating
    assert not any("did not gate on its machine" in note for note in found.notes)
    assert any("cannot exclude their tolerance" in said for said in found.report.warning_texts)


def test_who_measured_with_what_our_suite_ships_reads_no_note_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ship(monkeypatch, tmp_path)
    suite = suite_file.load(suite_file.path_of("pr")).suite
    there = Machine({"logical cpus": "64"}, {})
    theirs = priors.shipped_prior(
        priors.prior_request(suite, Product.MILO, Interleave.REQUEST, there)
    )
    assert theirs is not None
    assert "another class" in theirs.source
    results = codec.RESULTS.parse(body_of("passed").encode())
    found = published(json.loads(codec.RESULTS.dumps(replace(results, prior=theirs))))
    assert found.report is not None
    assert found.report.results.prior is not None
    assert not any("prior" in note for note in found.notes)


@pytest.mark.parametrize("parts", [{"interleave": "trial"}, {"environment": "kind"}])
def test_results_of_another_way_to_measure_have_no_prior_and_that_is_said(
    parts: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ship(monkeypatch, tmp_path)
    found = published(changed("passed", prior=prior_of(1e6), **parts))
    assert found.report is not None
    assert found.report.results.prior is None
    assert any("another environment or order" in note for note in found.notes)


def test_a_suite_that_is_not_ours_has_no_prior() -> None:
    with TemporaryDirectory(prefix="untrusted-") as made:
        body = changed("passed", suite="theirs", prior=prior_of(1e-12))
        (Path(made) / "results.json").write_text(json.dumps(body))
        found = trusted.publication(Path(made), EVENT, (), PublishOptions(key="theirs"), KNOWN)
    assert found.report is not None
    assert found.report.results.prior is None


@pytest.mark.parametrize("spec", ["reference", "source:.@main?product=reference"])
def test_a_spec_of_another_product_drops_no_metric(spec: str) -> None:
    body = changed("regressed, of Milo alone")
    body["subjects"]["candidate"]["spec"] = spec
    found = published(body)
    assert (found.outcome, concluded(found)) == (Outcome.BROKEN, "failure")
    assert "of the product reference, and milo was to be measured" in found.reason


@pytest.mark.parametrize("arms", [["candidate"], ["baseline"], ["baseline", "candidate"]])
def test_a_gating_metric_that_is_left_out_is_no_pass_and_is_named(arms: list[str]) -> None:
    body = changed("regressed")
    for arm in arms:
        kept = [s for s in body["samples"][arm] if s["metric"]["name"] != "get_p50"]
        body["samples"][arm] = kept
    found = published(body)
    assert (found.outcome, concluded(found)) == (Outcome.INCOMPLETE, "failure")
    assert found.lacking == {"object-crud/get_p50"}


@pytest.mark.parametrize(("missing", "lacking"), [(2, set()), (3, {"object-crud/get_p50"})])
def test_a_metric_may_miss_as_many_pairs_as_the_suite_lets_a_run_lose(
    missing: int, lacking: set[str]
) -> None:
    body = changed("passed")
    (sample,) = (s for s in body["samples"]["candidate"] if s["metric"]["name"] == "get_p50")
    sample["values"][:missing] = [None] * missing
    found = published(body)
    assert found.lacking == lacking
    assert (found.outcome is Outcome.INCOMPLETE) is bool(lacking)


def test_pairs_are_not_made_invalid_to_lose_their_numbers() -> None:
    body = changed("regressed")
    body["trials"][0]["invalid"] = ["the load was not as asked"]
    assert "an invalid pair has a value of" in published(body).reason
    for samples in body["samples"].values():
        for sample in samples:
            sample["values"][:3] = [None] * 3
    for trial in body["trials"][:6]:
        trial["invalid"] = ["the load was not as asked"]
    assert "3 of its 5 pairs are invalid, and the suite allows 2" in published(body).reason


@pytest.mark.parametrize("arms", [["baseline"], ["baseline", "candidate"]])
def test_a_deadline_that_nothing_missed_did_not_cut_a_regression_off(arms: list[str]) -> None:
    body = changed("regressed")
    for arm in arms:
        (sample,) = (s for s in body["samples"][arm] if s["metric"]["name"] == "get_p50")
        sample["cutoffs"] = ["at least"] * 5
    found = published(body)
    assert concluded(found) == "failure"
    assert "no count says that anything was not done in time" in found.reason


def test_a_deadline_that_both_missed_is_what_the_judge_makes_of_it() -> None:
    body = changed("passed")
    for samples in body["samples"].values():
        for sample in samples:
            if sample["metric"]["name"] == "errors_share":
                sample["values"] = [0.1] * 5
            if sample["metric"]["name"] == "get_p50":
                sample["cutoffs"] = ["nothing done"] * 5
                sample["values"] = [None] * 5
    found = published(body)
    assert (found.outcome, found.lacking) == (Outcome.PASSED, frozenset())


def test_pairs_are_not_left_out_until_nothing_can_be_judged() -> None:
    body = changed("regressed")
    body["trials"] = body["trials"][:4]
    for samples in body["samples"].values():
        for sample in samples:
            sample["values"] = sample["values"][:2]
    found = published(body)
    assert concluded(found) == "failure"
    assert (
        "it has 2 valid pairs, and no run ends before the first interim analysis, at 3"
        in found.reason
    )


def test_its_own_looks_and_number_of_pairs_do_not_count() -> None:
    ours = published(changed("passed"))
    other = published(changed("passed", pairs_asked=5, looks=[]))
    assert ours.report is not None
    assert other.report is not None
    assert other.report.rule == ours.report.rule
    assert any("number of pairs that was asked for" in note for note in other.notes)


@pytest.mark.parametrize(
    ("spec", "facts", "outcome"),
    [
        pytest.param(f"source:.@{HEAD}", {}, Outcome.PASSED, id="the commit"),
        pytest.param(f"source:.@{HEAD[:9]}?env.A=1", {}, Outcome.PASSED, id="its beginning"),
        pytest.param(f"source:.@{'b' * 40}", {}, Outcome.BROKEN, id="another"),
        pytest.param("source:.@bbbbbbb", {}, Outcome.BROKEN, id="the beginning of another"),
        pytest.param("binary:./milo", {"revision": "b" * 40}, Outcome.BROKEN, id="a binary of it"),
        pytest.param("binary:./milo", {}, Outcome.PASSED, id="a binary that does not say"),
    ],
)
def test_results_of_another_commit_are_refused(
    spec: str, facts: dict[str, str], outcome: Outcome
) -> None:
    body = changed("passed")
    body["subjects"]["candidate"].update(spec=spec, facts=facts)
    found = published(body)
    assert found.outcome is outcome
    assert ("of the commit bbbbbbb" in found.reason) is (outcome is Outcome.BROKEN)


@pytest.mark.parametrize(
    ("away", "said"),
    [
        (timedelta(), ""),
        (timedelta(minutes=-4), ""),
        (timedelta(hours=-1), "before this workflow run began"),
        (timedelta(days=40_000), "in the future"),
    ],
)
def test_results_older_than_the_run_or_yet_to_come_are_refused(away: timedelta, said: str) -> None:
    found = published(changed("passed", taken_at=(NOW + away).isoformat()))
    assert found.outcome is (Outcome.BROKEN if said else Outcome.PASSED)
    assert said in found.reason


def test_results_of_an_earlier_attempt_do_not_answer_for_the_next(
    fake: Fake, publish: Publish
) -> None:
    later = (NOW + timedelta(hours=2)).isoformat()
    event = finished(created_at=NOW.isoformat(), run_started_at=later, run_attempt=2)
    publish(FAST, *ALL, event=event)
    assert [check["conclusion"] for check in fake.checks.values()] == ["failure"]
    assert "before this workflow run began" in fake.bodies()[0]
    publish(FAST, *ALL, event=finished(id=99, created_at=NOW.isoformat()))
    assert [check["conclusion"] for check in fake.checks.values()] == ["success"]


@pytest.mark.parametrize(
    ("fail_on", "outcome", "conclusion"),
    [
        (FailOn.REGRESSION, Outcome.INCONCLUSIVE, "neutral"),
        (FailOn.INCONCLUSIVE, Outcome.INCONCLUSIVE, "failure"),
        (FailOn.INCONCLUSIVE, Outcome.REGRESSED, "failure"),
        (FailOn.INCONCLUSIVE, Outcome.PASSED, "success"),
        (FailOn.NEVER, Outcome.REGRESSED, "neutral"),
        (FailOn.NEVER, Outcome.BROKEN, "neutral"),
        (FailOn.NEVER, Outcome.WAITING, "action_required"),
    ],
)
def test_what_turns_a_check_red(fail_on: FailOn, outcome: Outcome, conclusion: str) -> None:
    assert checks.conclusion(outcome, fail_on) == conclusion


def test_fail_on_reaches_the_check(fake: Fake, publish: Publish) -> None:
    publish(
        honest(**{GATES: 1.31}), "--to", "check", "--suite", "pr", "--fail-on", "never", suite="pr"
    )
    (check,) = fake.checks.values()
    assert check["conclusion"] == "neutral"
    assert check["output"]["title"].startswith("REGRESSION: get p50")


@pytest.mark.parametrize("name", ["inconclusive", "undecided"])
def test_an_inconclusive_run_is_red_where_that_was_asked_for_by_either_name(
    fake: Fake, publish: Publish, name: str
) -> None:
    noisy = run(row(CREATE, 5.2e-3, 1.12, 0.12), *QUIET)
    publish(noisy, "--to", "check", "--fail-on", name)
    (check,) = fake.checks.values()
    assert check["conclusion"] == "failure"
    assert check["output"]["title"].startswith("INCONCLUSIVE: create p50 could be up to ")


def test_a_reference_is_judged_as_one_where_that_was_asked_for(
    fake: Fake, publish: Publish
) -> None:
    found = honest()
    subjects = {arm: replace(one, spec="reference") for arm, one in found.subjects.items()}
    asked = ("--to", "check", "--suite", "pr", "--product", "reference")
    publish(replace(found, subjects=subjects), *asked, suite="pr")
    (check,) = fake.checks.values()
    assert "product" not in check["output"]["summary"]
