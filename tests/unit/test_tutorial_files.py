"""The files of the tutorials are those that their text describes."""

from __future__ import annotations

import io
import zipfile

import pytest

from tests.tutorial_workbook import PATH, price_list

pytestmark = pytest.mark.unit


def test_price_list_is_the_written_one() -> None:
    with zipfile.ZipFile(PATH) as kept, zipfile.ZipFile(io.BytesIO(price_list())) as written:
        assert {name: kept.read(name) for name in kept.namelist()} == {
            name: written.read(name) for name in written.namelist()
        }
