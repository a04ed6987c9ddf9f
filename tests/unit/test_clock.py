"""Whoever sets the clock of the machine while something is measured is noticed."""

import time

import pytest

from pipeline.system.clock import STEP_S, ClockWatch, SteadyClock, watch_clock


class Setting:
    """The clock of the machine, which somebody sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.by_s = 0.0
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + self.by_s)


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> Setting:
    return Setting(monkeypatch)


def test_a_clock_that_nobody_sets_has_no_steps() -> None:
    with watch_clock() as watch:
        time.sleep(0.05)
    assert watch.disturbances() == []


@pytest.mark.parametrize(
    ("by_s", "said"),
    [
        (3600.0, "set forward by 3600.0 s"),
        (-3600.0, "set back by 3600.0 s"),
        (2 * STEP_S, "set forward by 0.2 s"),
    ],
)
def test_a_step_of_the_clock_is_named(setting: Setting, by_s: float, said: str) -> None:
    watch = ClockWatch()
    setting.by_s = by_s
    (sentence,) = watch.disturbances()
    assert said in sentence


def test_a_step_that_is_taken_back_is_noticed(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.system.clock._PERIOD_S", 0.01)
    with watch_clock() as watch:
        setting.by_s = 60.0
        deadline_s = time.monotonic() + 10
        while not watch.farthest_s and time.monotonic() < deadline_s:
            time.sleep(0.01)
        setting.by_s = 0.0
    assert "set forward by 60.0 s" in watch.disturbances()[0]


@pytest.mark.parametrize(
    ("gap_s", "said"), [(4.0, []), (61.0, ["this machine stood still for 61 s"])]
)
def test_a_machine_that_stands_still_is_noticed(
    monkeypatch: pytest.MonkeyPatch, gap_s: float, said: list[str]
) -> None:
    watch, real = ClockWatch(), time.monotonic
    real_unix = time.time
    for name, clock in (("monotonic", real), ("time", real_unix)):
        monkeypatch.setattr(time, name, lambda clock=clock: clock() + gap_s)
    watch.sample()
    assert watch.disturbances() == said


def test_a_steady_clock_goes_on_as_before_when_the_clock_is_set(setting: Setting) -> None:
    clock = SteadyClock()
    before_s = clock.now_s()
    setting.by_s = -3600.0
    assert 0 <= clock.now_s() - before_s < 60
    assert clock.step_s() == pytest.approx(-3600, abs=STEP_S)
