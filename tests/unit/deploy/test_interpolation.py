"""Interpolation of variables according to the Compose specification."""

from __future__ import annotations

import pytest

from deploy.interpolation import MissingValueError, Variable, interpolate, variables

pytestmark = pytest.mark.unit
VALUES = {"SET": "x", "EMPTY": "", "OTHER": "y"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("plain", "plain", id="no variable"),
        pytest.param("a$$b", "a$b", id="escaped dollar"),
        pytest.param("$SET-$OTHER", "x-y", id="bare"),
        pytest.param("${SET}", "x", id="braced"),
        pytest.param("${UNSET}", "", id="unset is empty"),
        pytest.param("${UNSET:-d}${EMPTY:-d}${SET:-d}", "ddx", id="default of unset and empty"),
        pytest.param("${UNSET-d}${EMPTY-d}", "d", id="default of unset only"),
        pytest.param("${SET:+a}${EMPTY:+a}${UNSET:+a}", "a", id="alternative"),
        pytest.param("${EMPTY+a}${UNSET+a}", "a", id="alternative of set, if empty too"),
        pytest.param("${UNSET:-${OTHER:-z}}", "y", id="default within a default"),
        pytest.param("${SET:+${UNSET:-}}|${UNSET:+${SET}}", "|", id="alternative within"),
        pytest.param("${UNSET:-http://a:1}", "http://a:1", id="colon in a default"),
        pytest.param("${SET:?say}${EMPTY?say}", "x", id="required and set"),
    ],
)
def test_interpolate_substitutes_values(text: str, expected: str) -> None:
    assert interpolate(text, VALUES) == expected


@pytest.mark.parametrize("text", ["${UNSET:?make it}", "${EMPTY:?make it}", "${UNSET?make it}"])
def test_interpolate_raises_for_a_required_variable(text: str) -> None:
    with pytest.raises(MissingValueError, match=r"(UNSET|EMPTY): make it"):
        interpolate(text, VALUES)


@pytest.mark.parametrize("text", ["${OPEN", "a $ b", "${1NAME}", "${NAME;x}", "${A:-${B}"])
def test_malformed_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        interpolate(text, VALUES)


def test_variables_finds_those_within_others() -> None:
    assert list(variables("$A ${B:-${C:?c}} $$D")) == [
        Variable("A"), Variable("B", ":-", "${C:?c}"), Variable("C", ":?", "c")
    ]  # fmt: skip
