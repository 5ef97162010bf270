"""Path and query of requests."""

import pytest

from include.sources.rest.targets import param, with_param, without

pytestmark = pytest.mark.unit


def test_param_is_read_decoded() -> None:
    assert param("/a?x=1&n%20m=a+b%2B&x=2", "x") == "1"
    assert param("/a?x=1&n%20m=a+b%2B", "n m") == "a b+"
    assert param("/a?x=1", "y") is None
    assert param("/a", "x") is None
    assert param("/a?x", "x") == ""


@pytest.mark.parametrize(
    ("target", "result"),
    [
        ("/a", "/a?c=x%2By%20z"),
        ("/a?b=%2c&d", "/a?b=%2c&d&c=x%2By%20z"),
        ("/a?c=1&b=2&c=3", "/a?b=2&c=x%2By%20z"),
    ],
)
def test_param_is_replaced_and_the_others_stay_as_they_are(target: str, result: str) -> None:
    assert with_param(target, "c", "x+y z") == result


def test_params_are_removed() -> None:
    assert without("/a?k%65y=1&b=2", lambda name, _: name == "key") == "/a?b=2"
    assert without("/a?key=1", lambda _, value: value == "1") == "/a"
