"""The soak's judgement of a series of samples."""

from __future__ import annotations

import random

import pytest

from proof.soak.judge import (
    Expected,
    Latency,
    Series,
    Tolerance,
    Verdict,
    first_and_last_fifth,
    judge,
    latency,
    slope,
    slower,
)

pytestmark = pytest.mark.unit

TIMES = [10.0 * at for at in range(100)]
NOISE = random.Random(7)


def series(values: list[float]) -> Series:
    return Series("memory", "MB", list(TIMES), values)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        pytest.param([500.0] * 100, Verdict.FLAT, id="constant"),
        pytest.param([500 + NOISE.gauss(0, 40) for _ in TIMES], Verdict.FLAT, id="noise around a level"),
        pytest.param([500.0 if at % 17 else 2000.0 for at in range(100)], Verdict.FLAT, id="peaks"),
        pytest.param([500 + 5.0 * (at % 20) for at in range(100)], Verdict.FLAT, id="saw tooth that comes back"),
        pytest.param([500.0] * 95 + [900.0] * 5, Verdict.FLAT, id="one step at the very end"),
        pytest.param([500.0 - at for at in range(100)], Verdict.FLAT, id="falls"),
        pytest.param([500 + 0.3 * at for at in range(100)], Verdict.FLAT, id="grows within the tolerance"),
        pytest.param([500 + 2.0 * at for at in range(100)], Verdict.GROWS, id="grows"),
        pytest.param([500 + 2.0 * at + NOISE.gauss(0, 30) for at in range(100)], Verdict.GROWS, id="grows with noise"),
        pytest.param([500 + 50.0 * (at // 20) for at in range(100)], Verdict.GROWS, id="grows in steps"),
        pytest.param([100.0] * 50 + [400.0] * 50, Verdict.FLAT, id="one step to a level that stays"),
        pytest.param([0.0] * 10 + [float(at) for at in range(90)], Verdict.GROWS, id="grows from nothing"),
    ],
)
def test_verdict_depends_on_the_trend_and_not_on_noise(values: list[float], verdict: Verdict) -> None:
    assert judge(series(values), Tolerance(absolute=30, share=0.1)).verdict is verdict


def test_slope_is_per_hour_and_start_and_end_are_medians() -> None:
    found = judge(series([100 + 0.5 * second for second in TIMES]), Tolerance(1))
    assert found.slope == pytest.approx(1800)
    assert (found.start, found.end) == (pytest.approx(100 + 0.5 * 95), pytest.approx(100 + 0.5 * 895))


def test_slope_ignores_single_peaks_and_needs_two_points() -> None:
    values = [100 + 0.5 * second for second in TIMES]
    values[30], values[60] = 1e9, -1e9
    assert slope(TIMES, values) == pytest.approx(1800, rel=0.02)
    assert slope([1.0], [5.0]) == 0
    assert slope([], []) == 0


@pytest.mark.parametrize(
    ("growth", "verdict"),
    [
        pytest.param(990, Verdict.EXPLAINED, id="as expected"),
        pytest.param(960, Verdict.EXPLAINED, id="a little more"),
        pytest.param(2000, Verdict.EXPLAINED, id="less"),
        pytest.param(500, Verdict.GROWS, id="twice as much as expected"),
        pytest.param(0, Verdict.GROWS, id="nothing was expected"),
    ],
)
def test_growth_is_compared_with_the_expected_growth(growth: float, verdict: Verdict) -> None:
    found = judge(series([10.0 * at for at in range(100)]), Tolerance(5), Expected(growth, "one row per file"))
    assert found.verdict is verdict
    assert "one row per file" in found.explained
    assert f"{growth:,.0f}" in found.explained


def test_series_without_samples_counts_as_growth() -> None:
    assert judge(Series("memory", "MB"), Tolerance(1)).verdict is Verdict.GROWS


def test_after_cuts_off_the_warm_up() -> None:
    cut = series([float(at) for at in range(100)]).after(500)
    assert (cut.seconds[0], cut.values[0], len(cut.values)) == (500, 50, 50)


def test_latencies_of_the_ends() -> None:
    drops = [(float(at), 5.0 if at < 50 else 20.0) for at in range(100)]
    first, last = first_and_last_fifth(drops, 100)
    assert (len(first), len(last)) == (20, 20)
    assert latency(first) == Latency(20, 5, 5, 5)
    assert latency([*map(float, range(1, 101))]) == Latency(100, 50.5, 95, 100)
    assert latency([]) is None
    assert slower(latency(first), latency(last))


@pytest.mark.parametrize(
    ("first", "last", "is_slower"),
    [
        pytest.param([5.0], [6.0], False, id="a second more"),
        pytest.param([5.0], [9.0], False, id="much in share, little in seconds"),
        pytest.param([60.0], [70.0], False, id="seconds, little in share"),
        pytest.param([10.0], [30.0], True, id="much of both"),
        pytest.param([], [30.0], False, id="nothing to compare with"),
    ],
)
def test_slower_needs_a_difference_in_seconds_and_in_share(
    first: list[float], last: list[float], is_slower: bool
) -> None:
    assert slower(latency(first), latency(last)) is is_slower
