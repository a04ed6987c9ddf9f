"""What spreads depend on is in the load digest, and what decides a verdict is not."""

from pathlib import Path

import pytest

from pipeline.model.subject import Product
from pipeline.runs import suite_file
from tests.unit.test_config import GOOD, written


def load_digest(folder: Path, text: str = GOOD, product: Product = Product.MILO) -> str:
    return suite_file.load_digest(suite_file.load(written(folder, text)).suite.of(product))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("margin = 0.05", "margin = 0.1", id="margin"),
        pytest.param("margin = 0.05", "margin = 0.05\ntolerance = 0.3", id="tolerance"),
        pytest.param("margin = 0.05", "margin = 0.05\ngate = true", id="gate"),
        pytest.param("margin = 0.05", 'margin = 0.05\ndescription = "x"', id="description"),
        pytest.param(
            "[[workload.metric]]",
            '[workload.descriptions]\ncreate_p50 = "x"\n\n[[workload.metric]]',
            id="descriptions",
        ),
        pytest.param("pairs = 3", "pairs = 8\nbudget_s = 60\nmax_invalid = 1", id="pairs"),
        pytest.param("one workload", "another sentence", id="description of the suite"),
        pytest.param('kind = "local"', 'kind = "local"\nready_s = 90', id="time to start"),
    ],
)
def test_what_decides_a_verdict_is_no_part_of_the_load(old: str, new: str, tmp_path: Path) -> None:
    assert old in GOOD
    assert load_digest(tmp_path, GOOD.replace(old, new, 1)) == load_digest(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("rate = 10.0", "rate = 11.0", id="rate"),
        pytest.param("duration_s = 5", "duration_s = 6", id="duration"),
        pytest.param("object_crud.js", "churn.js", id="script"),
        pytest.param('name = "crud"', 'name = "crud"\nprobes = ["heap"]', id="probes"),
        pytest.param("{op=create}/p50", "{op=create}/p95", id="select"),
        pytest.param("margin = 0.05", 'margin = 0.05\nper = "requests"', id="per"),
        pytest.param("margin = 0.05", "margin = 0.05\nfloor = 0.01", id="floor"),
        pytest.param("margin = 0.05", 'margin = 0.05\nscale = "difference"', id="scale"),
        pytest.param('unit = "s"', 'unit = "1"', id="unit"),
        pytest.param('better = "lower"', 'better = "higher"', id="better"),
        pytest.param('kind = "local"', 'kind = "kind"', id="environment"),
    ],
)
def test_what_is_loaded_and_read_is(old: str, new: str, tmp_path: Path) -> None:
    assert old in GOOD
    assert load_digest(tmp_path, GOOD.replace(old, new, 1)) != load_digest(tmp_path)


def test_a_script_beside_the_suite_is_part_of_the_load(tmp_path: Path) -> None:
    before = load_digest(tmp_path)
    (tmp_path / "object_crud.js").write_text("export default function () {}\n")
    beside = load_digest(tmp_path)
    (tmp_path / "object_crud.js").write_text("export default function () { }\n")
    assert len({before, beside, load_digest(tmp_path)}) == 3


def test_neither_the_order_of_metrics_nor_those_of_another_product_matter(tmp_path: Path) -> None:
    head, *metrics = GOOD.split("[[workload.metric]]")
    turned = "[[workload.metric]]".join([head, *(f"{one}\n" for one in reversed(metrics))])
    assert load_digest(tmp_path, turned) == load_digest(tmp_path)
    more = f'{GOOD}only = "milo"\n[[workload.metric]]{metrics[1]}only = "reference"\nfloor = 0.01\n'
    assert load_digest(tmp_path, more) == load_digest(tmp_path)
    assert load_digest(tmp_path, more, Product.REFERENCE) != load_digest(tmp_path)


def test_a_cluster_by_another_name_is_the_same_load(tmp_path: Path) -> None:
    kind = GOOD.replace('kind = "local"', 'kind = "kind"')
    named = kind.replace('kind = "kind"', 'kind = "kind"\nname = "mine"\nkeep = true')
    assert load_digest(tmp_path, named) == load_digest(tmp_path, kind)
    smaller = kind.replace('kind = "kind"', 'kind = "kind"\nserver = { cpu = 1 }')
    assert load_digest(tmp_path, smaller) != load_digest(tmp_path, kind)
