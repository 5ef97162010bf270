"""The object key of a dropped file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from include.contracts.catalog import UnknownDatasetError
from local.commands.landing import existing_file, object_key
from local.errors import PlatformError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


@pytest.fixture
def contracts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "contracts"
    folder.mkdir()
    for name in ("sales", "sales_returns", "inventory"):
        (folder / f"{name}.yaml").touch()
    monkeypatch.setenv("INGEST_CONTRACTS_DIR", str(folder))


def made(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    path.touch()
    return path


@pytest.mark.usefixtures("contracts")
@pytest.mark.parametrize(
    ("file", "dataset", "name", "key"),
    [
        pytest.param("x.csv", "sales", "", "incoming/sales/x.csv", id="its-own-name"),
        pytest.param("x.csv", "sales", "y z.csv", "incoming/sales/y z.csv", id="another-name"),
        pytest.param("sales_2024.csv", "", "", "incoming/sales/sales_2024.csv", id="dataset-from-the-name"),
        pytest.param("sales_returns_1.csv", "", "", "incoming/sales_returns/sales_returns_1.csv", id="longest-wins"),
        pytest.param("sales.csv", "inventory", "", "incoming/inventory/sales.csv", id="given-dataset-wins"),
    ],
)
def test_a_file_goes_to_its_dataset(tmp_path: Path, file: str, dataset: str, name: str, key: str) -> None:
    assert object_key(made(tmp_path, file), dataset, name) == key


@pytest.mark.usefixtures("contracts")
@pytest.mark.parametrize(
    ("dataset", "name"),
    [("..", ""), ("a/b", ""), ("sales", "../x"), ("sales", "a\nb"), ("sales", ".")],
)
def test_a_name_cannot_leave_its_folder(tmp_path: Path, dataset: str, name: str) -> None:
    with pytest.raises(PlatformError, match="cannot be part of an object's key"):
        object_key(made(tmp_path, "x.csv"), dataset, name)


@pytest.mark.usefixtures("contracts")
def test_a_name_of_no_dataset_is_refused_with_the_choice(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match=r"add --dataset NAME, one of: inventory, sales, sales_returns"):
        object_key(made(tmp_path, "x.csv"))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="is not a file"):
        existing_file(str(tmp_path / "none.csv"))


@pytest.mark.usefixtures("contracts")
@pytest.mark.parametrize(
    ("dataset", "advice"),
    [("sale", "did you mean sales"), ("nonsense", "datasets: inventory, sales, sales_returns")],
    ids=["nearly right", "nothing like it"],
)
def test_unknown_dataset_is_refused_with_the_nearest_name(tmp_path: Path, dataset: str, advice: str) -> None:
    with pytest.raises(UnknownDatasetError, match=f"there is no contract for '{dataset}'; {advice}"):
        object_key(made(tmp_path, "x.csv"), dataset)


@pytest.mark.parametrize("given", ["", ".", "none.csv"], ids=["nothing", "a folder", "no such file"])
def test_what_is_no_file_is_refused(given: str) -> None:
    with pytest.raises(PlatformError, match="filegate drop FILE"):
        existing_file(given)
