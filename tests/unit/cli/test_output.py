"""What all commands print in the same way."""

import pytest

from include.errors.nearest import did_you_mean

pytestmark = pytest.mark.unit

LOGS = ["airflow-api-server", "airflow-cleanup", "airflow-scheduler", "airflow-triggerer", "mlflow", "postgres"]


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        pytest.param("airflow-schedular", LOGS, "did you mean airflow-scheduler? ", id="common prefix"),
        pytest.param("sale", ["sales", "sable"], "did you mean sales or sable? ", id="two are near"),
        pytest.param("weather", LOGS, "", id="none is near"),
    ],
)
def test_did_you_mean_names_what_is_almost_as_near_as_the_nearest(word: str, known: list[str], expected: str) -> None:
    assert did_you_mean(word, known) == expected
