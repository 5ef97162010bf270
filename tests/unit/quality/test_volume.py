"""Whether a load has the usual size: the arithmetic and the result of the check."""

import pytest

from include.contracts.model import Severity
from include.quality.inspection import judge_volume
from include.quality.table_stats import Loads
from include.quality.volume import compare, farthest
from include.settings import QualitySettings

pytestmark = pytest.mark.unit

SETTINGS = QualitySettings(deviations=5.0)
VARIED = (900, 1000, 1100, 950, 1050, 1000)
EQUAL = (1000,) * 6
MOSTLY_EQUAL = (100, 100, 100, 100, 5000, 4000)


@pytest.mark.parametrize(
    ("rows", "history", "usual"),
    [
        pytest.param(1000, VARIED, True, id="the median"),
        pytest.param(1200, VARIED, True, id="a fifth more"),
        pytest.param(50_000, VARIED, False, id="fifty times as much"),
        pytest.param(20, VARIED, False, id="a fiftieth"),
        pytest.param(0, VARIED, False, id="nothing"),
        pytest.param(1000, EQUAL, True, id="all equal: the same"),
        pytest.param(1500, EQUAL, True, id="all equal: half as much again is within 1.1 ** 5"),
        pytest.param(1700, EQUAL, False, id="all equal: beyond 1.1 ** 5"),
        pytest.param(5000, MOSTLY_EQUAL, True, id="MAD is 0: the mean deviation counts"),
        pytest.param(0, (0,) * 6, True, id="always nothing"),
        pytest.param(50_000, (10, 100, 1000, 10_000, 100_000), True, id="a stream of all sizes"),
    ],
)
def test_load_is_usual_within_the_deviations(rows: int, history: tuple[int, ...], usual: bool) -> None:
    assert compare(rows, history, 5.0).is_usual(5.0) is usual


def test_deviation_is_symmetric_in_factors() -> None:
    history = (999,) * 6
    assert compare(9999, history, 5.0).deviation == pytest.approx(-compare(99, history, 5.0).deviation)


def test_deviation_is_counted_in_scaled_median_deviations() -> None:
    # ln(1 + rows) is 1, 2, 3, 4, 5: median 3, MAD 1.
    history = [round(2.718281828**n - 1, 6) for n in (1, 2, 3, 4, 5)]
    volume = compare(402, history, 5.0)  # type: ignore[arg-type]
    assert volume.deviation == pytest.approx(3 / 1.4826, rel=0.001)


def test_bounds_are_the_rows_that_still_pass() -> None:
    volume = compare(1000, VARIED, 5.0)
    assert volume.low < min(VARIED)
    assert volume.high > max(VARIED)
    assert compare(volume.high, VARIED, 5.0).deviation == pytest.approx(5.0, abs=0.01)
    assert compare(volume.low, VARIED, 5.0).deviation == pytest.approx(-5.0, abs=0.01)


def test_of_several_new_loads_the_farthest_is_reported() -> None:
    assert farthest((1000, 3, 1100), VARIED, 5.0).rows == 3


@pytest.mark.parametrize(
    ("loads", "severity", "success"),
    [
        pytest.param(Loads((50_000,), VARIED), Severity.WARNING, False, id="far from usual"),
        pytest.param(Loads((1000, 1100), VARIED), Severity.WARNING, True, id="usual"),
        pytest.param(Loads((1000, 50_000, 1000), VARIED), Severity.WARNING, False, id="one of several is far"),
        pytest.param(Loads((50_000,), VARIED[:4]), Severity.INFO, True, id="too few to judge by"),
        pytest.param(Loads((50_000,), VARIED[:5]), Severity.WARNING, False, id="just enough to judge by"),
        pytest.param(Loads((), ()), Severity.INFO, True, id="no load at all"),
    ],
)
def test_volume_is_a_warning_once_there_is_a_history(loads: Loads, severity: Severity, success: bool) -> None:
    result = judge_volume(loads, SETTINGS)
    assert (result.expectation, result.severity, result.success) == ("volume_is_usual", severity, success)
