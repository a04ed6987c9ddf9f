"""A Prometheus that is not there, slow, or says nothing is named, and never a number."""

import json
import threading
from collections.abc import Callable

import pytest

from pipeline.drivers.prometheus_api import check_up, points, targets
from pipeline.system import http_client
from pipeline.system.errors import Exit, LoadError
from tests.loopback import Request, answering, serving

LATER = "http://127.0.0.1:1"


def vector(*values: str) -> str:
    """Return what Prometheus answers, the values numbered."""
    result = [{"metric": {"n": str(n)}, "value": [1.5, value]} for n, value in enumerate(values)]
    return data({"resultType": "vector", "result": result})


def data(found: object) -> str:
    return json.dumps({"status": "success", "data": found})


def test_the_finite_points_of_an_instant_vector_are_returned_with_their_labels() -> None:
    with serving(vector("1.5", "NaN", "+Inf", "-2e3")) as url:
        found = points(url, "x")
    assert [(point.labels["n"], point.value) for point in found] == [("0", 1.5), ("3", -2000)]


def test_an_expression_arrives_whole() -> None:
    asked: list[str] = []

    def answer(request: Request, _body: bytes) -> None:
        asked.append(request.path)
        request.say(vector())

    with answering(answer) as url:
        assert points(f"{url}/below/", 'a{b="c+d"}[1m] &') == ()
    assert asked == ["/below/api/v1/query?query=a%7Bb%3D%22c%2Bd%22%7D%5B1m%5D+%26"]


@pytest.mark.parametrize(
    "said",
    [
        pytest.param("", id="nothing"),
        pytest.param("<html>log in</html>", id="a page"),
        pytest.param("[]", id="no object"),
        pytest.param(data(None), id="no data"),
        pytest.param(data({"resultType": "vector", "result": [{}]}), id="a point without a value"),
        pytest.param(vector("fast"), id="a value that is no number"),
    ],
)
@pytest.mark.parametrize("ask", [lambda url: points(url, "x"), targets], ids=["points", "targets"])
def test_what_does_not_answer_like_a_prometheus_is_said_to(
    said: str, ask: Callable[[str], object]
) -> None:
    with serving(said) as url, pytest.raises(LoadError, match="not answer like a Prometheus"):
        ask(url)


def test_a_value_that_is_not_an_instant_vector_is_refused() -> None:
    answer = data({"resultType": "matrix", "result": []})
    with serving(answer) as url, pytest.raises(LoadError, match=r"`x\[1m\]` is a matrix"):
        points(url, "x[1m]")


def test_a_prometheus_that_is_not_there_is_named() -> None:
    with pytest.raises(LoadError, match=f"Prometheus at {LATER} .*no answer") as caught:
        points(LATER, "x")
    assert caught.value.exit_code is Exit.WRONG_LOAD


def test_a_slow_prometheus_is_named_with_the_time_that_it_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_client, "_TIMEOUT_S", 0.1)
    ended = threading.Event()

    def answer(request: Request, _body: bytes) -> None:
        ended.wait(10)
        request.say(vector())

    with answering(answer) as url:
        with pytest.raises(LoadError, match=r"no answer in 0\.1 s"):
            points(url, "x")
        ended.set()


def test_what_a_prometheus_says_of_a_wrong_expression_is_in_the_message() -> None:
    with (
        answering(lambda request, _: request.say('{"error":"parse error"}', 400)) as url,
        pytest.raises(LoadError, match="parse error"),
    ):
        points(url, "x{")


@pytest.mark.parametrize(
    ("over_s", "asked", "when"),
    [
        pytest.param(0, "up+%3D%3D+0", "now", id="now"),
        pytest.param(
            7.2, "min_over_time%28up%5B8s%5D%29+%3D%3D+0", r"in the last 7\.2 s", id="in the past"
        ),
    ],
)
def test_a_target_that_was_down_is_named(over_s: float, asked: str, when: str) -> None:
    down = [{"metric": {"job": "etcd", "instance": "127.0.0.1:9"}, "value": [1, "0"]}]

    def answer(request: Request, _body: bytes) -> None:
        expected = request.path == f"/api/v1/query?query={asked}"
        request.say(data({"resultType": "vector", "result": down if expected else []}))

    with answering(answer) as url:
        with pytest.raises(
            LoadError, match=rf"could not scrape `etcd` at 127\.0\.0\.1:9, .*{when}"
        ):
            check_up(url, over_s)
        check_up(url, over_s + 100)


def test_no_target_that_was_down_is_no_error() -> None:
    with serving(vector()) as url:
        check_up(url, 0)
