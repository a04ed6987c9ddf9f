"""The Grafana dashboard asks for numbers that we export, in valid PromQL, and Grafana knows it."""

import copy
import json
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from pipeline.judge import policy
from pipeline.model.metric import Scale
from pipeline.render.exports import of_report
from pipeline.render.openmetrics import openmetrics
from pipeline.system import paths, processes
from tests import pages
from tests.builders import results
from tests.unit.test_exports import families

DASHBOARD: dict[str, Any] = json.loads(
    paths.project_path("deploy", "grafana-dashboard.json").read_text(encoding="utf-8")
)


def exported() -> dict[str, set[str]]:
    """Return the labels of every family that a run can have, by its name."""
    rows = [
        (pages.metric(f"m{unit}{scale}", unit, scale=scale), [1.0, 1.1, 1.2], [2.0, 2.1, 2.2])
        for unit in ("s", "B", "1/s", "1")
        for scale in Scale
    ]
    text = openmetrics(of_report(policy.report(results(*rows))))
    found: dict[str, set[str]] = defaultdict(set)
    for family in families(text):
        for sample in family.samples:
            found[sample.name].update(sample.labels)
    return found


def queries() -> Iterator[tuple[str, str]]:
    """Yield each query with its legend; those of variables have none."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield target["expr"], target["legendFormat"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"], ""


def names_and_labels(query: str) -> dict[str, set[str]]:
    """Return the metrics that a query names, each with the labels of its matchers."""
    found: dict[str, set[str]] = {}
    for name, matchers in re.findall(r"\b(milo_perf_\w+)(?:\{([^}]*)\})?", query):
        found.setdefault(name, set()).update(re.findall(r'(\w+)(?:=~|!=|=)"', matchers))
    return found


def test_every_query_names_metrics_and_labels_that_are_exported() -> None:
    known = exported()
    seen: set[str] = set()
    for query, legend in queries():
        asked = names_and_labels(query)
        assert asked, query
        for name, labels in asked.items():
            assert labels <= known[name], query
            assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= known[name], query
        seen |= asked.keys()
    assert {"milo_perf_verdict", "milo_perf_change_ratio", "milo_perf_mean_seconds"} <= seen


def test_every_mean_change_and_verdict_that_is_exported_is_on_the_dashboard() -> None:
    asked = {name for query, _ in queries() for name in names_and_labels(query)}
    left = {name for name in exported() if re.search(r"(mean|verdict|info|pairs)", name)} - asked
    assert left == set()


def test_every_variable_that_a_query_uses_is_there() -> None:
    known = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    for query, _ in queries():
        assert set(re.findall(r"\$(\w+)", query)) <= known | {"__interval", "__range"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_every_query_of_a_panel_is_promql(tmp_path: Path) -> None:
    expressions = [expr for expr, legend in queries() if not expr.startswith("label_values")]
    filled = [re.sub(r"\[\$__\w+\]", "[1h]", expr) for expr in expressions]
    rules = [{"record": f"r{number}", "expr": expr} for number, expr in enumerate(filled)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    said = processes.capture([str(shutil.which("promtool")), "check", "rules", str(file)])
    assert said is not None
    assert f"SUCCESS: {len(rules)} rules found" in said


def test_grafanas_own_schema_has_every_key() -> None:
    assert _unknown(DASHBOARD) == []
    broken = copy.deepcopy(DASHBOARD)
    broken["panels"][1]["fieldConfig"]["defaults"]["custom"]["drawLines"] = True
    assert _unknown(broken) == ["/panels/1/fieldConfig/defaults/custom/drawLines"]


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        apart = (one[at] + one[size] <= other[at] for at, size in (("x", "w"), ("y", "h")))
        behind = (other[at] + other[size] <= one[at] for at, size in (("x", "w"), ("y", "h")))
        assert any(apart) or any(behind)


def _unknown(dashboard: dict[str, Any]) -> list[str]:
    """Return the places of what Grafana's types do not keep."""
    register_default_plugins()
    kept = json.loads(JSONEncoder().encode(Dashboard.from_json(copy.deepcopy(dashboard))))
    return list(_lost(dashboard, kept))


def _lost(given: object, kept: object, place: str = "") -> Iterator[str]:
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            if key in kept:
                yield from _lost(value, kept[key], f"{place}/{key}")
            else:
                yield f"{place}/{key}"
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for number, (one, other) in enumerate(zip(given, kept, strict=True)):
            yield from _lost(one, other, f"{place}/{number}")
    elif given != kept:
        yield place
