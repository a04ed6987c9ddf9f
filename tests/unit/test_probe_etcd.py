"""etcd is asked through its JSON gateway, and nonsense is never a number."""

from pathlib import Path

import pytest

from pipeline.errors import LoadError
from pipeline.ports import Span
from pipeline.probes.etcd import Etcd, keys
from tests.loopback import serving, target, values


def test_keys_added_are_those_after_less_those_before(tmp_path: Path) -> None:
    answers = ('{"count":"3"}', '{"count":"10"}')
    with serving(*answers) as url, Etcd().watch(target(url), tmp_path) as watch:
        readings = watch.readings(Span(0, 1))

    assert values(readings)["etcd.keys_added"] == 7


def test_etcd_leaves_a_count_of_zero_out() -> None:
    with serving("{}") as url:
        assert keys(url, "/projects/") == 0


@pytest.mark.parametrize("answer", ["not JSON", '{"count":"many"}', "[]"])
def test_an_etcd_that_answers_nonsense_is_an_error(answer: str) -> None:
    with serving(answer) as url, pytest.raises(LoadError):
        keys(url, "/projects/")


def test_an_etcd_that_does_not_answer_is_an_error() -> None:
    with pytest.raises(LoadError, match="no answer"):
        keys("http://127.0.0.1:1", "/projects/")
