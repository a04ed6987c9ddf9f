"""`judge FILE.csv`: what the file says, what is wrong with it, and what comes of it."""

import csv
import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.commands.main import main
from pipeline.judge import policy
from pipeline.judge.constants import LOOKS
from pipeline.storage import codec
from pipeline.storage.measurements_csv import read
from pipeline.system.errors import ConfigError

HEAD = "pair,arm,metric,value"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(str.strip)
FOLDER = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def written(tmp_path: Path, *lines: str, head: str = HEAD, encoding: str = "utf-8") -> Path:
    path = tmp_path / "table.csv"
    path.write_text("\n".join((head, *lines, "")), encoding=encoding)
    return path


def paired(before: list[float], after: list[float], metric: str = "m", rest: str = "") -> list[str]:
    return [
        f"{pair},{arm},{metric},{value!r}{rest}"
        for pair, values in enumerate(zip(before, after, strict=True))
        for arm, value in zip(("baseline", "candidate"), values, strict=True)
    ]


def found(
    path: Path, capsys: pytest.CaptureFixture[str], *options: str, code: int | None = None
) -> list[dict[str, Any]]:
    exit_code = main(["judge", str(path), "--json", *options])
    assert code is None or exit_code == code
    findings: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["findings"]
    return findings


def test_pairs_are_judged_on_logarithms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = [1.0, 1.1, 0.9, 1.0], [1.2, 1.31, 1.09, 1.19]
    (one,) = found(written(tmp_path, *paired(before, after)), capsys, code=3)
    d = [math.log(b / a) for a, b in zip(before, after, strict=True)]
    low, high = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    assert (one["verdict"], one["pairs"], one["metric"], one["family"]) == ("regressed", 4, "m", "")
    expected = [math.expm1(x) for x in (low, sum(d) / 4, high)]
    assert [one["low"], one["change"], one["high"]] == pytest.approx(expected)
    assert one["detectable_change"] > one["margin"] == 0.03


@pytest.mark.parametrize(
    ("after", "answer"),
    [
        pytest.param([1.2, 1.31, 1.09, 1.19], "REGRESSION: m +20 % (18 to 21 %)", id="slower"),
        pytest.param([0.8, 0.89, 0.71, 0.81], "IMPROVED: m −20 %; nothing worse\n", id="faster"),
        pytest.param([1.0, 1.1, 0.9, 1.001], "PASS: no metric worse; at worst ", id="equal"),
        pytest.param([1.0, 1.4, 0.7, 1.2], "INCONCLUSIVE: m could be up to ", id="noisy"),
    ],
)
def test_the_first_line_is_the_answer(
    after: list[float], answer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["judge", str(written(tmp_path, *paired([1.0, 1.1, 0.9, 1.0], after)))])
    assert capsys.readouterr().out.startswith(answer)


def test_pairs_are_matched_by_name_whatever_their_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = paired([1.0, 2.0, 4.0], [1.1, 2.2, 4.4])
    (one,) = found(written(tmp_path, *reversed(lines)), capsys)
    assert one["change"] == pytest.approx(0.1)
    assert one["low"] == pytest.approx(one["high"])


def test_each_family_is_corrected_by_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = [1.0, 1.0, 1.0, 1.0], [1.05, 1.06, 1.09, 1.08]
    many = [line for i in range(40) for line in paired(before, after, f"m{i}", ",many")]
    alone = paired(before, after, "m", ",alone")
    path = written(tmp_path, *many, *alone, head=f"{HEAD},family")
    findings = found(path, capsys)
    assert findings[0]["p_worse"] == pytest.approx(8 * findings[-1]["p_worse"])
    assert (findings[0]["verdict"], findings[-1]["verdict"]) == ("inconclusive", "regressed")


def test_auto_takes_as_many_pairs_as_a_family_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(2)
    same, slow, noisy = (
        [float(v) for v in np.exp(random.normal(m, s, 20))]
        for m, s in ((0, 0.002), (0.5, 0.01), (0, 0.03))
    )
    path = written(
        tmp_path,
        *paired([1.0] * 20, same, "same", ",a"),
        *paired([1.0] * 20, slow, "slow", ",b"),
        *paired([1.0] * 20, noisy, "noisy", ",c"),
        head=f"{HEAD},family",
    )
    a, b, c = found(path, capsys, "--pairs", "auto")
    assert (a["verdict"], a["pairs"]) == ("unchanged", 3)
    assert (b["verdict"], b["pairs"]) == ("regressed", 3)
    assert c["pairs"] in LOOKS[1:]
    assert all(one["pairs"] == 20 for one in found(path, capsys))


def test_groups_are_wider_than_pairs_unless_they_are_of_one_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        f",{arm},m,{value}"
        for arm, middle in (("baseline", 1.0), ("candidate", 1.08))
        for value in (middle - 0.001, middle, middle + 0.001, middle)
    ]
    path = written(tmp_path, *lines)
    (apart,) = found(path, capsys, code=0)
    assert apart["verdict"] == "inconclusive"
    assert "not in pairs" in apart["warnings"][0]
    assert apart["high"] - apart["low"] > 0.15
    (one,) = found(path, capsys, "--same-machine", code=3)
    assert one["verdict"] == "regressed"
    assert one["change"] == pytest.approx(0.08, abs=1e-4)


def test_a_share_of_events_has_an_interval_though_there_are_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = paired([0.0, 0.0], [0.0, 0.0], "errors", ",difference,0.01,1000")
    (one,) = found(written(tmp_path, *lines, head=f"{HEAD},scale,margin,of"), capsys)
    assert one["verdict"] == "unchanged"
    assert 0 < one["high"] < 0.01


def test_settings_of_a_metric_may_stand_in_its_first_row_alone(tmp_path: Path) -> None:
    first, *rest = paired([2.0, 2.0], [1.0, 1.0])
    lines = [f"{first},s,higher,0.5,5%", *(f"{line},,,," for line in rest)]
    (one,) = read(written(tmp_path, *lines, head=f"{HEAD},unit,better,floor,margin"))
    metric = one.metric
    assert (metric.unit, metric.better, metric.floor, metric.margin) == ("s", "higher", 0.5, 0.05)


@pytest.mark.parametrize(
    ("after", "verdict"),
    [
        pytest.param([1.0, 1.0, 1.0], "unchanged", id="equal"),
        pytest.param([1.5, 1.5, 1.5], "regressed", id="all worse alike"),
        pytest.param([0.5, 0.5, 0.5], "improved", id="all better alike"),
        pytest.param([1.01, 1.01, 1.01], "unchanged", id="worse alike, within the margin"),
    ],
)
def test_values_without_any_spread(
    after: list[float], verdict: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (one,) = found(written(tmp_path, *paired([1.0, 1.0, 1.0], after)), capsys)
    assert one["verdict"] == verdict


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param(paired([1.0], [1.0]), "1 pair only", id="one pair"),
        pytest.param(paired([0.0, 1.0], [1.0, 1.0]), "use an absolute margin", id="zero"),
        pytest.param(paired([-1.0, 1.0], [1.0, 1.0]), "use an absolute margin", id="negative"),
        pytest.param(
            [*paired([1.0, 1.0], [1.0, 1.0]), "9,baseline,m,1"],
            "1 of 3 pairs lack an arm",
            id="an arm is missing in a pair",
        ),
        pytest.param(["0,baseline,m,1", "1,baseline,m,1"], "0 pair only", id="an arm is missing"),
    ],
)
def test_what_cannot_be_judged_says_why(
    lines: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (one,) = found(written(tmp_path, *lines), capsys, code=0)
    assert any(said in warning for warning in one["warnings"])


@pytest.mark.parametrize(
    ("head", "lines", "said"),
    [
        pytest.param("pair,arm,value", [], "the column `metric` is missing", id="column"),
        pytest.param("pair,arm,value", [], "there are: pair, arm, value", id="what is there"),
        pytest.param(HEAD, [], "no line but the first", id="no rows"),
        pytest.param("", [], "the file is empty", id="empty"),
        pytest.param(HEAD, ["0,baseline,m,fast"], ":2: value: `fast` is not a number", id="text"),
        pytest.param(HEAD, ["0,baseline,m,"], ":2: value: `` is not a number", id="nothing"),
        pytest.param(HEAD, ["0,baseline,m,nan"], ":2: value: `nan` is not a finite", id="NaN"),
        pytest.param(HEAD, ["0,baseline,m,-inf"], ":2: value: `-inf` is not a finite", id="inf"),
        pytest.param(HEAD, ["0,old,m,1"], ":2: arm: `old` is not `baseline` or", id="arm"),
        pytest.param(HEAD, ["0,baseline,m,1,2"], "5 values, and the first line names 4", id="5"),
        pytest.param(
            HEAD,
            ["0,baseline,m,1", "1,baseline,m,1", "1,baseline,m,2"],
            ":4: pair: `1`",
            id="twice",
        ),
        pytest.param(
            HEAD, ["0,baseline,m,1", ",candidate,m,1"], ":3: pair: `` is not", id="pairs for some"
        ),
        pytest.param(
            f"{HEAD},margin", ["0,baseline,m,1,x"], ":2: margin: `x` is not a number", id="margin"
        ),
        pytest.param(f"{HEAD},margin", ["0,baseline,m,1,-1"], "margin must be", id="below 0"),
        pytest.param(
            f"{HEAD},margin",
            ["0,baseline,m,1,", "0,candidate,m,1,0"],
            ":3: m: margin must be finite and above zero",
            id="margin 0",
        ),
        pytest.param(f"{HEAD},margin", ["0,baseline,m,1,0%"], ":2: m: margin must", id="0 %"),
        pytest.param(
            f"{HEAD},margin", ["0,baseline,m,1,5"], ":2: margin: `5` is 500 %; did you", id="5"
        ),
        pytest.param(
            f"{HEAD},floor", ["0,baseline,m,1,5%"], ":2: floor: `5%` is not a number", id="floor"
        ),
        pytest.param(
            f"{HEAD},margin", ["0,baseline,m,1,1e300%"], "is not at most 1e+150", id="huge margin"
        ),
        pytest.param(
            f"{HEAD},scale,of",
            ["0,baseline,m,0,difference,9", "0,candidate,m,0,difference,"],
            ":3: of: `` is not a number of events",
            id="no number of events",
        ),
        pytest.param(
            f"{HEAD},scale,of",
            ["0,baseline,m,0,difference,9", "0,candidate,m,0,difference,0"],
            ":3: of: `0` is not a number of events from 1",
            id="no events",
        ),
        pytest.param(
            f"{HEAD},scale",
            ["0,baseline,m,1,difference", "0,candidate,m,1e308,difference"],
            ":3: value: `1e+308` is not between",
            id="beyond squares",
        ),
        pytest.param(HEAD, ["0,baseline,m,1e308"], ":2: value: `1e+308` is not", id="beyond sums"),
        pytest.param(
            f"{HEAD},scale",
            ["0,baseline,m,0,difference", "0,candidate,m,1e-200,difference"],
            ":3: value: `1e-200` is not 0 or of a size",
            id="squares are 0",
        ),
        pytest.param(
            f"{HEAD},unit",
            ["0,baseline,m,1,s", "0,candidate,m,1,ms"],
            ":3: unit: `ms` is not `s`",
            id="two units",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(
    head: str, lines: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, *lines, head=head)
    if not head:
        path.write_text("")
    assert main(["judge", str(path)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_another_encoding_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, *paired([1.0, 1.0], [1.0, 1.0], "größe"), encoding="latin-1")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read(path)


def test_there_is_no_such_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", str(tmp_path / "none.csv")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_hostile_names_are_shown_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "\x1b[31m<script>[red]\u202e|" + "x" * 3000
    assert main(["judge", str(written(tmp_path, *paired([1.0, 1.0], [1.0, 1.0], name)))]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "<script>[red]" in shown.replace("\n", "").replace(" ", "")


def judged(path: Path, size: int = 1_000_000) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what `--json` says of each metric, by family and name."""
    findings = policy.judge_table(read(path, size))
    body = json.loads(codec.judged_json(findings))["findings"]
    return {(one["family"], one["metric"]): one for one in body}


@settings(FOLDER, max_examples=15)
@given(families=st.integers(1, 300), metrics=st.integers(1, 300), at=st.randoms())
def test_every_metric_of_every_family_is_judged_by_its_own_values(
    families: int, metrics: int, at: random.Random, tmp_path: Path
) -> None:
    metrics = min(metrics, 1500 // families + 1)
    worse = (at.randrange(families), at.randrange(metrics))
    lines = [
        f"{pair},{arm},m{m},{100 + pair + 50 * (arm[0] == 'c' and worse == (f, m))},f{f}"
        for f in range(families)
        for m in range(metrics)
        for pair in range(3)
        for arm in ("baseline", "candidate")
    ]
    found = read(written(tmp_path, *lines, head=f"{HEAD},family"))
    assert [(one.family, one.metric.name) for one in found] == [
        (f"f{f}", f"m{m}") for f in range(families) for m in range(metrics)
    ]
    for one in found:
        name = f"f{worse[0]}", f"m{worse[1]}"
        expected = 50 if (one.family, one.metric.name) == name else 0
        assert list(one.before) == [100, 101, 102]
        assert [a - b for a, b in zip(one.after, one.before, strict=True)] == [expected] * 3


@FOLDER
@given(
    names=st.lists(
        st.tuples(TEXT.filter(bool), TEXT, TEXT), min_size=1, max_size=6, unique_by=lambda n: n[:2]
    )
)
def test_names_are_shown_as_they_are_written(
    names: list[tuple[str, str, str]], tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, quoting=csv.QUOTE_ALL)
        lines.writerow([*HEAD.split(","), "family", "unit"])
        for metric, family, unit in names:
            for pair in (f"{metric}1", f"{unit}2"):
                for arm in ("baseline", "candidate"):
                    lines.writerow([pair, arm, metric, "1.5", family, unit])
    found = {key: one["unit"] for key, one in judged(path).items()}
    assert found == {(family, metric): unit or "1" for metric, family, unit in names}


@FOLDER
@given(
    pairs=st.lists(st.tuples(*2 * [st.integers(1, 10**6)]), min_size=2, max_size=6),
    scale=st.sampled_from(["ratio", "difference", "share", "groups"]),
    power=st.integers(-30, 30),
    order=st.randoms(),
    size=st.integers(1, 300),
)
def test_neither_order_nor_blocks_nor_unit_change_a_verdict(  # noqa: PLR0917
    pairs: list[tuple[int, int]],
    scale: str,
    power: int,
    order: random.Random,
    size: int,
    tmp_path: Path,
) -> None:
    def lines(power: int) -> list[str]:
        return [
            ",".join(
                (
                    "" if scale == "groups" else f"p{pair}",
                    *(arm, "m", f"{value / 10**6}" if scale == "share" else f"{value}e{power}"),
                    f"1000e{power}" if scale == "difference" else "0.02" if pair % 2 else "",
                    "difference" if scale in ("difference", "share") else "",
                    "5000" if scale == "share" else "",
                )
            )
            for pair, values in enumerate(pairs)
            for arm, value in zip(("baseline", "candidate"), values, strict=True)
        ]

    head = f"{HEAD},margin,scale,of"
    whole = judged(written(tmp_path, *lines(0), head=head))
    mixed = order.sample(lines(0), 2 * len(pairs))
    assert judged(written(tmp_path, *mixed, head=head), size) == whole
    in_other_unit = judged(written(tmp_path, *lines(power), head=head))
    assert in_other_unit["", "m"]["verdict"] == whole["", "m"]["verdict"]


@pytest.mark.parametrize(
    ("text", "tolerance"), [("10%", 0.1), ("0.1", 0.1), ("150%", 1.5), ("", 0.05)]
)
def test_a_pass_excludes_the_tolerance(text: str, tolerance: float, tmp_path: Path) -> None:
    lines = [f"{line},{text}" for line in paired([1.0, 1.0], [1.0, 1.0], rest=",5%")]
    (one,) = read(written(tmp_path, *lines, head=f"{HEAD},margin,tolerance"))
    assert (one.metric.margin, one.metric.tolerated) == pytest.approx((0.05, tolerance))


def test_a_tolerance_decides_what_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = paired([1.0, 1.0, 1.0, 1.0], [1.0213, 0.9791, 1.0118, 0.9907])
    for tolerance, expected in (("", "inconclusive"), ("3%", "inconclusive"), ("5%", "unchanged")):
        path = written(
            tmp_path, *(f"{line},{tolerance}" for line in lines), head=f"{HEAD},tolerance"
        )
        assert found(path, capsys)[0]["verdict"] == expected


@pytest.mark.parametrize(
    ("tolerance", "said"),
    [
        pytest.param("4%", ":2: m: tolerance must be finite and not below the margin", id="below"),
        pytest.param("5", ":2: tolerance: `5` is 500 %; did you", id="no percent sign"),
        pytest.param("1", ":2: tolerance: `1` is 100 %; did you mean 1 %?", id="1"),
        pytest.param("x", ":2: tolerance: `x` is not a number", id="text"),
    ],
)
def test_a_tolerance_that_cannot_be_is_refused(tolerance: str, said: str, tmp_path: Path) -> None:
    path = written(tmp_path, f"0,baseline,m,1,5%,{tolerance}", head=f"{HEAD},margin,tolerance")
    with pytest.raises(ConfigError) as error:
        read(path)
    assert said in str(error.value)


def test_a_margin_is_a_number_below_1_or_has_a_percent_sign(tmp_path: Path) -> None:
    for text, margin in (("5%", 0.05), ("150 %", 1.5), ("0.5", 0.5), ("100%", 1.0), ("", 0.03)):
        lines = [f"{line},{text}" for line in paired([2.0, 2.0], [1.0, 1.0])]
        (one,) = read(written(tmp_path, *lines, head=f"{HEAD},margin"))
        assert one.metric.margin == pytest.approx(margin)
    lines = paired([2.0, 2.0], [1.0, 1.0], rest=",5,difference")
    (one,) = read(written(tmp_path, *lines, head=f"{HEAD},margin,scale"))
    assert one.metric.margin == 5.0


@FOLDER
@given(
    percent=st.integers(4, 400), column=st.sampled_from(["margin", "tolerance"]), sign=st.booleans()
)
def test_a_share_has_no_margin_that_none_exceeds(
    percent: int, column: str, tmp_path: Path, *, sign: bool
) -> None:
    text = f"{percent}%" if sign else f"{percent / 100}"
    lines = paired([0.0] * 3, [1.0] * 3, rest=f",{text},difference,1000000000")
    path = written(tmp_path, *lines, head=f"{HEAD},{column},scale,of")
    if percent >= 100:
        with pytest.raises(ConfigError, match=f":2: {column}: no share changes by more than"):
            read(path)
    else:
        (one,) = policy.judge_table(read(path))
        assert one.verdict == "regressed"


def test_a_row_without_the_name_of_its_metric_is_refused(tmp_path: Path) -> None:
    lines = [line.replace(",m,", ",,") for line in paired([1.0, 1.0], [2.0, 2.0])]
    with pytest.raises(ConfigError, match=":4: metric: `` is not the name"):
        read(written(tmp_path, *paired([1.0], [2.0]), *lines))


@pytest.mark.parametrize(("of", "said"), [("", ":2: margin: `5%` is not an amount"), ("9", "")])
def test_per_cent_of_amounts_are_refused_but_not_of_shares(
    of: str, said: str, tmp_path: Path
) -> None:
    lines = paired([0.5, 0.5], [0.4, 0.4], rest=f",5%,difference,{of}")
    path = written(tmp_path, *lines, head=f"{HEAD},margin,scale,of")
    if not said:
        assert [one.metric.margin for one in read(path)] == [0.05]
        return
    with pytest.raises(ConfigError) as error:
        read(path)
    assert said in str(error.value)


@pytest.mark.parametrize("size", ["1e300", "1e-300", "5e-324", "1e150", "1e-140"])
def test_values_of_any_size_that_are_not_refused_are_judged(
    size: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        f"{pair},{arm},{scale},{sign}{size},{scale},1e-150"
        for scale, sign in (("ratio", ""), ("difference", "-"))
        for pair in range(4)
        for arm, sign in (("baseline", ""), ("candidate", sign if pair else ""))
        if scale == "ratio" or 1e-140 <= float(size) <= 1e150
    ]
    path = written(tmp_path, *lines, head=f"{HEAD},scale,margin")
    assert all(math.isfinite(one["high"]) for one in found(path, capsys))
    assert main(["judge", str(path)]) in (0, 3)


def test_a_metric_that_an_arm_lacks_in_most_pairs_is_inconclusive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = paired([1.0] * 9, [1.0] * 9)
    lacking = [line for line in lines if "candidate" not in line or line < "4"]
    (one,) = found(written(tmp_path, *lacking), capsys, "--strict", code=4)
    assert (one["verdict"], one["change"]) == ("inconclusive", None)
    assert "inconclusive: only 4 of 9 pairs have a value in both arms" in one["warnings"]
    most = [line for line in lines if "candidate" not in line or line < "8"]
    (one,) = found(written(tmp_path, *most), capsys, "--strict", code=0)
    assert one["verdict"] == "unchanged"


def test_numbers_of_events_that_are_not_used_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = paired([0.5, 0.5], [0.5, 0.5], rest=",1000")
    (one,) = found(written(tmp_path, *lines, head=f"{HEAD},of"), capsys)
    assert "`of` is not used: it belongs to the scale `difference`" in one["warnings"]


@settings(deadline=None)
@given(st.lists(st.tuples(*2 * [st.floats(1e-3, 1e3)]), min_size=2, max_size=6))
def test_the_file_says_what_the_numbers_say(pairs: list[tuple[float, float]]) -> None:
    import tempfile

    before, after = map(list, zip(*pairs, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        (one,) = read(written(Path(folder), *paired(before, after)))
    assert (list(one.before), list(one.after)) == (before, after)
