"""Render the pages of a site of nights: static, without scripts, and nothing comes from elsewhere.

Every text of a history is foreign: the templates escape it, and an address is made of a page's name
or of a commit's hexadecimal id only.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from html import escape
from itertools import groupby
from typing import Any

from pipeline.judge.constants import CONFIDENCE, FAMILY_ALPHA
from pipeline.judge.history import MIN_CHANGE, MIN_POINTS, HistoryRule
from pipeline.judge.nights import (
    NOISE_NIGHTS,
    EarlierNight,
    NightChange,
    NightTable,
    night_interval,
)
from pipeline.model.history import ChangePoint
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.nights import (
    DatedRelease,
    DatedSeries,
    Night,
    NightHistory,
    NightValue,
    ProductSource,
)
from pipeline.model.report import Verdict
from pipeline.render.answer_line import VERDICT_WORDS
from pipeline.render.history import (
    series_notes,
    step_commits,
    step_direction,
    step_mark,
    step_size,
    steps_count,
)
from pipeline.render.history_page import headline, method, step_counts, step_tone
from pipeline.render.html import VERDICT_SHAPES
from pipeline.render.names import describe_metric
from pipeline.render.night_plot import NightPlot, large_plot, small_plot
from pipeline.render.numbers import count, moment, percent, quantity, share
from pipeline.render.templates import asset, raw, render_html
from pipeline.system.sanitize import truncate

STYLE = "style.css"
"""File name of the style sheet that every page of the site shares."""

_ASSETS = ("assets/report.css", "assets/site.css")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_ADDRESS = re.compile(r"https://[\w.-]+(?::\d{1,5})?(?:/[\w.~-]+)+")
_TAG = re.compile(r"[\w.-]+")
_UNSAFE = re.compile(r"[^a-z0-9]+")
_MAX_SLUG = 60  # characters
_SHORT_COMMIT = 12
_MAX_NAMED = 3  # metrics in a row of earlier nights
_NIGHTS_OF_METRIC = 60  # rows of the table of one metric, the newest
_MAX_ALARMS = 20  # rows of the first table of a history
_MAX_STEPS = 40  # rows of one metric, the newest
_NEWEST = 14  # nights on the first page
_MAX_ANSWER = 300  # characters
_MAX_LABEL = 80  # characters of a name in a line
_BACK = ((1, "previous night"), (7, "7 nights before"), (30, "30 nights before"))
_ORDER = (Verdict.REGRESSED, Verdict.INCONCLUSIVE, Verdict.IMPROVED, Verdict.UNCHANGED)


@dataclass(frozen=True, slots=True)
class SiteLinks:
    """The parts of the site that every page links to.

    Attributes:
        histories: Names of the histories.
        source: Repository of the product.
        others: Title and path of further pages.
    """

    histories: tuple[str, ...]
    source: ProductSource
    others: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class JudgedHistory:
    """A history with its judged series.

    Attributes:
        series: Series of each metric, one for each stretch that has it, in the order of time.
    """

    history: NightHistory
    series: dict[str, list[DatedSeries]]

    @property
    def newest(self) -> list[DatedSeries]:
        """The series of the newest stretch: what the history alarms about."""
        last = self.history.nights[-1].stretch if self.history.nights else None
        newest = [series[-1] for series in self.series.values()]
        return [
            one
            for one in newest
            if one.nights and self.history.nights[one.nights[-1]].stretch == last
        ]


@dataclass(frozen=True, slots=True)
class _FoundStep:
    """A change point of a metric, with the series that it is in."""

    key: str
    dated: DatedSeries
    step: ChangePoint

    @property
    def night(self) -> int:
        """Index of the first night after the change."""
        return self.dated.nights[self.step.index - self.dated.judged.series.left_out]


def style() -> str:
    """Return the style sheet of the site."""
    return "\n".join(map(asset, _ASSETS))


@lru_cache(maxsize=4096)
def slug(name: str) -> str:
    """Return a name for a file that is unique, short and harmless."""
    shown = _UNSAFE.sub("-", name.lower()).strip("-")[:_MAX_SLUG]
    digest = hashlib.sha256(name.encode(errors="backslashreplace")).hexdigest()[:6]
    return f"{shown}-{digest}" if shown else digest


def history_folder(name: str) -> str:
    """Return the folder of a history's pages: its name, if that is harmless and free."""
    is_free = name not in ("releases", "results")
    return name if is_free and re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", name) else slug(name)


def night_path(history: str, night: str) -> str:
    """Return the path of the page of a night."""
    return f"{history_folder(history)}/nights/{night}.html"


def report_path(history: str, night: str) -> str:
    """Return the path of the full report of a night."""
    return f"{history_folder(history)}/reports/{night}.html"


def metric_path(history: str, key: str) -> str:
    """Return the path of the page of a metric."""
    return f"{history_folder(history)}/metrics/{slug(key)}.html"


def history_path(history: str) -> str:
    """Return the path of the page of a history."""
    return f"{history_folder(history)}/index.html"


def index_html(links: SiteLinks, histories: Sequence[JudgedHistory]) -> str:
    """Render the first page: the answer of the last night, and the newest nights."""
    last = [(one.history, one.history.nights[-1]) for one in histories if one.history.nights]
    worst = min(last, key=lambda pair: (_rank(pair[1]), -pair[1].time.timestamp()), default=None)
    newest = sorted(
        ((one.history, night) for one in histories for night in one.history.nights[-_NEWEST:]),
        key=lambda pair: pair[1].time,
        reverse=True,
    )[:_NEWEST]
    return _page(
        "site_index.html.j2",
        links,
        "",
        **_answer(*worst) if worst else _no_answer(),
        last=[_night_row(links, "", *pair) for pair in last],
        newest=[_night_row(links, "", *pair) for pair in newest],
        histories=[_history_row(one) for one in histories],
    )


def history_html(links: SiteLinks, judged: JudgedHistory, rule: HistoryRule) -> str:
    """Render the page of a history: every metric as a small drawing, and all nights."""
    history, root = judged.history, "../"
    newest = [one.judged for one in judged.newest]
    found = [
        _FoundStep(key, one, step)
        for key, series in judged.series.items()
        for one in series
        for step in one.judged.steps
    ]
    found.sort(key=lambda one: one.night, reverse=True)
    alarms = [one for one in found if one.step.alarms and one.dated in judged.newest]
    shown = headline(newest)
    by_workload = groupby(judged.series, key=lambda key: key.partition("/")[0])
    return _page(
        "site_history.html.j2",
        links,
        root,
        name=history.name,
        headline=shown,
        verdict="regressed" if alarms else "unchanged",
        counts=step_counts(newest),
        notes=history.notes,
        alarms=[_step_row(links, root, history, one) for one in alarms[:_MAX_ALARMS]],
        more=max(0, len(alarms) - _MAX_ALARMS),
        workloads=[
            (name, [_metric_cell(links, root, judged, key) for key in keys])
            for name, keys in by_workload
        ],
        nights=[_night_row(links, root, history, one) for one in reversed(history.nights)],
        confidence=share(CONFIDENCE),
        method=method(rule),
    )


def metric_html(links: SiteLinks, judged: JudgedHistory, key: str) -> str:
    """Render the page of one metric: its drawing, its steps and its value in every night."""
    history, root = judged.history, "../../"
    series = judged.series[key]
    fact = _newest_value(history, key)
    addresses = [f"../nights/{one.name}.html" for one in history.nights]
    newest = [one for one in reversed(history.nights) if key in one.values]
    steps = [_FoundStep(key, one, step) for one in series for step in one.judged.steps]
    return _page(
        "site_metric.html.j2",
        links,
        root,
        history=history.name,
        home=f"{root}{history_path(history.name)}",
        key=key,
        about=describe_metric(_metric(key, fact)),
        better=fact.better.value,
        steps_count=steps_count(series[-1].judged),
        notes=list(dict.fromkeys(note for one in series for note in series_notes(one.judged))),
        picture=raw(large_plot(_plot(links, judged, key), addresses)),
        steps=[_step_row(links, root, history, one) for one in reversed(steps[-_MAX_STEPS:])],
        older=max(0, len(steps) - _MAX_STEPS),
        nights=[
            {**_night_row(links, root, history, one), **_value_cell(one.values[key])}
            for one in newest[:_NIGHTS_OF_METRIC]
        ],
        more=max(0, len(newest) - _NIGHTS_OF_METRIC),
        confidence=share(CONFIDENCE),
        releases=bool(links.source.releases),
    )


def night_html(
    links: SiteLinks, history: NightHistory, at: int, table: NightTable, rows: Sequence[int]
) -> str:
    """Render the page of a night: its values, and what differs from every earlier night.

    Args:
        links: Parts of the site.
        history: History of the night.
        at: Index of the night.
        table: Nights of its stretch.
        rows: Index of the night of each row of the table, up to this night.
    """
    night, root = history.nights[at], "../../"
    columns = _columns(links.source, [history.nights[row] for row in rows])
    changes = {row: table.changes(row, len(rows) - 1) for row, _ in columns}
    nights = [history.nights[row] for row in rows]
    return _page(
        "site_night.html.j2",
        links,
        root,
        **_answer(history, night),
        **_neighbors(history, at),
        history=history.name,
        home=f"{root}{history_path(history.name)}",
        facts=_facts(links, night),
        report=f"{root}{report_path(history.name, night.name)}"
        if night.name in history.reports
        else "",
        columns=[
            {"title": title, "night": nights[row].name, "date": _date(nights[row].time)}
            for row, title in columns
        ],
        bodies=[
            _metric_rows(name, list(keys), night, [changes[row] for row, _ in columns])
            for name, keys in groupby(sorted(night.values), key=lambda key: key.partition("/")[0])
        ],
        earlier=_earlier(nights, table.beyond_chance(len(rows) - 1, _MAX_NAMED)),
        has_noise=len(rows) >= MIN_POINTS,
        needed=MIN_POINTS,
        confidence=share(CONFIDENCE),
        alpha=share(FAMILY_ALPHA),
        least=share(MIN_CHANGE),
        noise=NOISE_NIGHTS,
    )


def document_html(links: SiteLinks, root: str, title: str, body: str) -> str:
    """Render a page around markup that is safe already.

    Args:
        links: Parts of the site.
        root: Relative address of the first page's folder.
        title: Title of the page.
        body: Markup of our own, or already escaped.
    """
    return _page("site_document.html.j2", links, root, title=title, body=raw(body))


def commit_address(source: ProductSource, commit: str) -> str:
    """Return the address of a commit; empty if it has none."""
    is_known = _ADDRESS.fullmatch(source.url) and _COMMIT.fullmatch(commit)
    return f"{source.url}/commit/{commit}" if is_known else ""


def _page(template: str, links: SiteLinks, root: str, **values: Any) -> str:  # noqa: ANN401 (of a template)
    menu = [(f"{root}index.html", "Nights")]
    menu += [(f"{root}{history_path(name)}", name) for name in links.histories]
    menu += [(f"{root}{path}", title) for title, path in links.others]
    return render_html(template, root=root, menu=menu, sheet=f"{root}{STYLE}", **values)


def _answer(history: NightHistory, night: Night) -> dict[str, Any]:
    """Return what the header of a night's answer shows."""
    verdict = night.verdict
    word, _, rest = night.answer.partition(": ")
    if not rest:
        word, rest = "measured", f"{count(len(night.values), 'metric')} against the reference build"
    return {
        "verdict": verdict.value if verdict else "inconclusive",
        "shape": VERDICT_SHAPES[verdict] if verdict else "●",
        "word": word,
        "answer": truncate(rest, _MAX_ANSWER),
        "when": f"{history.name}, {moment(night.time)}",
        "page": night_path(history.name, night.name),
    }


def _no_answer() -> dict[str, Any]:
    return {
        "verdict": "inconclusive",
        "shape": "◆",
        "word": "no night yet",
        "answer": "the first nightly run that keeps its record fills this page",
        "when": "",
        "page": "",
    }


def _rank(night: Night) -> int:
    return _ORDER.index(night.verdict) if night.verdict else len(_ORDER)


def _night_row(links: SiteLinks, root: str, history: NightHistory, night: Night) -> dict[str, Any]:
    verdict = night.verdict
    return {
        "history": history.name,
        "link": f"{root}{night_path(history.name, night.name)}",
        "date": _stamp(night.time),
        "commit": _short(night.commit),
        "commit_link": commit_address(links.source, night.commit),
        "verdict": verdict.value if verdict else "",
        "shape": VERDICT_SHAPES[verdict] if verdict else "",
        "word": VERDICT_WORDS[verdict] if verdict else "",
        "answer": truncate(night.answer.partition(": ")[2], _MAX_ANSWER),
        "report": f"{root}{report_path(history.name, night.name)}"
        if night.name in history.reports
        else "",
    }


def _history_row(judged: JudgedHistory) -> dict[str, Any]:
    newest = [one.judged for one in judged.newest]
    alarms = sum(step.alarms for one in newest for step in one.steps)
    return {
        "name": judged.history.name,
        "link": history_path(judged.history.name),
        "nights": len(judged.history.nights),
        "metrics": len(judged.series),
        "verdict": "regressed" if alarms else "unchanged",
        "shape": "▲" if alarms else "●",
        "answer": headline(newest).answer if newest else "no night yet",
    }


def _plot(links: SiteLinks, judged: JudgedHistory, key: str) -> NightPlot:
    return NightPlot(key, judged.history.nights, judged.series[key], links.source.releases)


def _metric_cell(links: SiteLinks, root: str, judged: JudgedHistory, key: str) -> dict[str, Any]:
    series = judged.series[key]
    tones = {step_tone(step) for one in series[-1:] for step in one.judged.steps}
    worst = next((one for one in ("regressed", "improved") if one in tones), "unchanged")
    return {
        "name": key.partition("/")[2] or key,
        "link": f"{root}{metric_path(judged.history.name, key)}",
        "picture": raw(small_plot(_plot(links, judged, key))),
        "steps": steps_count(series[-1].judged),
        "verdict": worst,
        **_value_cell(_newest_value(judged.history, key)),
    }


def _step_row(
    links: SiteLinks, root: str, history: NightHistory, found: _FoundStep
) -> dict[str, Any]:
    step, night = found.step, history.nights[found.night]
    after, before = step.until.commit or step.after.commit, step.before.commit
    url = links.source.url
    is_known = _ADDRESS.fullmatch(url) and _COMMIT.fullmatch(after) and _COMMIT.fullmatch(before)
    return {
        "key": found.key,
        "metric": f"{root}{metric_path(history.name, found.key)}",
        "night": f"{root}{night_path(history.name, night.name)}",
        "date": _date(night.time),
        "mark": step_mark(step),
        "tone": step_tone(step),
        "direction": step_direction(step),
        "size": step_size(found.dated.judged.series, step),
        "commits": step_commits(step),
        "commits_link": f"{url}/compare/{before}...{after}" if is_known else "",
        "reason": step.acknowledged,
    }


def _neighbors(history: NightHistory, at: int) -> dict[str, str]:
    before = history.nights[at - 1].name if at else ""
    after = history.nights[at + 1].name if at + 1 < len(history.nights) else ""
    return {
        "previous": f"{before}.html" if before else "",
        "next": f"{after}.html" if after else "",
    }


def _facts(links: SiteLinks, night: Night) -> list[tuple[str, str, str]]:
    """Return name, text and address of what is known about a night."""
    source = links.source
    facts = [("commit", _short(night.commit), commit_address(source, night.commit))]
    release = next((r for r in source.releases if r.commit == night.reference_commit), None)
    reference = release.name if release else _short(night.reference_commit or night.reference)
    address = commit_address(source, night.reference_commit)
    if release and _ADDRESS.fullmatch(source.url) and _TAG.fullmatch(release.name):
        address = f"{source.url}/releases/tag/{release.name}"
    facts.append(("reference", reference, address))
    facts += [("suite", night.suite, ""), ("profile", night.profile, "")]
    return [*facts, *((name, fact, "") for name, fact in sorted(night.machine.items()))]


def _columns(source: ProductSource, nights: Sequence[Night]) -> list[tuple[int, str]]:
    """Return the earlier nights that have a column of their own: row and title."""
    at = len(nights) - 1
    found = [(at - back, title) for back, title in _BACK if at >= back]
    release = _newest_release(source.releases, nights[at].time)
    if release is not None:
        first = next((row for row in range(at) if nights[row].time >= release.time), None)
        if first is not None and first not in {row for row, _ in found}:
            found.append((first, f"first night with {truncate(release.name, _MAX_LABEL)}"))
    return found


def _newest_release(releases: Iterable[DatedRelease], time: datetime) -> DatedRelease | None:
    before = [release for release in releases if release.time <= time]
    return max(before, key=lambda release: release.time, default=None)


def _metric_rows(
    workload: str, keys: Sequence[str], night: Night, columns: Sequence[dict[str, NightChange]]
) -> Any:  # noqa: ANN401 (markupsafe loads late)
    """Return the rows of a workload in the table of a night: made here, since there are many."""
    width = 3 + len(columns)
    group = (
        f'<th class="group" scope="rowgroup" colspan="{width}"><bdi>{_text(workload)}</bdi></th>'
    )
    lines = [f"<tr>{group}</tr>"]
    for key in keys:
        value = _value_cell(night.values[key])
        cells = "".join(f"<td>{_change_markup(changes.get(key))}</td>" for changes in columns)
        lines.append(
            f'<tr><th scope="row"><a href="../metrics/{slug(key)}.html"><bdi>'
            f"{_text(key.partition('/')[2] or key)}</bdi></a></th><td>{_text(value['change'])}</td>"
            f"<td>{_text(value['interval'])}</td>{cells}</tr>"
        )
    return raw("\n".join(lines))


def _earlier(nights: Sequence[Night], differences: Sequence[EarlierNight]) -> Any:  # noqa: ANN401 (markupsafe loads late)
    """Return a row for each earlier night that differs, the newest first; others are counted."""
    rows: list[str] = []
    pairs = list(zip(nights, differences, strict=False))  # the night itself is the last one
    for differs, group in groupby(reversed(pairs), key=lambda pair: bool(pair[1].clearest)):
        members = list(group)
        if differs:
            rows += [_earlier_row(night, found) for night, found in members]
            continue
        ends = [_night_link(members[at][0]) for at in ((0, -1) if len(members) > 1 else (0,))]
        same = count(len(members), "night")
        rows.append(f"<tr><td>{' to '.join(ends)}<td><td>{same}: nothing beyond chance")
    return raw("\n".join(rows))


def _earlier_row(night: Night, found: EarlierNight) -> str:
    """Return a row; end tags that HTML does not need are left out, since there are many rows."""
    counts = [f"{found.worse} worse"] if found.worse else []
    counts += [f"{found.better} better"] if found.better else []
    named = ", ".join(f"{_text(one.key)} {_text(_change_text(one))}" for one in found.clearest)
    more = found.worse + found.better - len(found.clearest)
    rest = f" and {more} more" if more else ""
    return f"<tr><td>{_night_link(night)}<td>{', '.join(counts)}<td><bdi>{named}</bdi>{rest}"


def _night_link(night: Night) -> str:
    return f'<a href="{night.name}.html">{_date(night.time)}</a>'


@lru_cache(maxsize=4096)
def _text(text: str) -> str:
    """Return a foreign text as markup, printable and short."""
    return escape(truncate(text, _MAX_LABEL))


def _value_cell(value: NightValue) -> dict[str, str]:
    found = night_interval(value)
    if found is None:
        return {"change": _amount(value, value.change), "interval": ""}
    low, high = (_amount(value, end) for end in found)
    return {"change": _amount(value, value.change), "interval": f"{low} to {high}"}


def _amount(value: NightValue, change: float) -> str:
    if value.scale is Scale.RATIO:
        return percent(change)
    return quantity(change, value.unit, signed=True)


def _change_markup(change: NightChange | None) -> str:
    if change is None:
        return ""
    text = _text(_change_text(change))
    if not change.is_beyond_chance:
        return text
    verdict = Verdict.REGRESSED if change.is_worse else Verdict.IMPROVED
    word = "worse" if change.is_worse else "better"
    return (
        f'<span class="verdict is-{verdict.value}"><span aria-hidden="true">'
        f'{VERDICT_SHAPES[verdict]}</span> <span class="unseen">{word}</span> {text}</span>'
    )


def _change_text(change: NightChange) -> str:
    if change.scale is Scale.RATIO:
        return percent(change.change)
    return quantity(change.change, change.unit, signed=True)


def _newest_value(history: NightHistory, key: str) -> NightValue:
    return next(one.values[key] for one in reversed(history.nights) if key in one.values)


def _metric(key: str, value: NightValue) -> Metric:
    """Return a metric for its description; nothing is judged by its margin."""
    name = truncate(key.partition("/")[2] or key, _MAX_LABEL) or "?"
    return Metric(name, value.unit, Better(value.better), margin=1.0)


def _short(commit: str) -> str:
    return commit.removeprefix("sha256:")[:_SHORT_COMMIT]


def _date(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d}"


def _stamp(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M}"
