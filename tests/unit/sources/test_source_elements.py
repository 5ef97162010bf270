"""The elements of a source: their names, and requests with values filled in."""

from __future__ import annotations

from typing import Any

import pytest

from include.sources.definition import RestSource
from include.sources.elements import elements, headers_of, params_of, path_of
from include.sources.listing import Element

pytestmark = pytest.mark.unit


def source(*requests: dict[str, Any]) -> RestSource:
    keys = {"name": "shop", "kind": "rest", "connection": "source_shop", "schedule": None, "dataset": "orders"}
    return RestSource.model_validate({**keys, "requests": list(requests)})


def names(*requests: dict[str, Any]) -> list[str]:
    return [element.name for element in elements(source(*requests))]


def test_element_is_named_by_its_path_with_the_values() -> None:
    shops = {"path": "/shops/{shop}/orders", "forEach": {"shop": ["north", "south"]}}
    found = elements(source({"path": "/items"}, shops))
    assert found == [
        Element("/items"),
        Element("/shops/north/orders", {"shop": "north"}, 1),
        Element("/shops/south/orders", {"shop": "south"}, 1),
    ]


def test_each_combination_of_the_lists_is_an_element() -> None:
    given = {"shop": ["n", "s"], "kind": ["new", "old"]}
    assert names({"path": "/{shop}/{kind}", "forEach": given}) == ["/n/new", "/n/old", "/s/new", "/s/old"]


def test_values_that_the_path_does_not_show_are_in_the_name() -> None:
    weather = {"path": "/weather", "params": {"q": "{city}"}, "forEach": {"city": ["Berlin", "São Paulo"]}}
    assert names(weather) == ["/weather?city=Berlin", "/weather?city=S%C3%A3o%20Paulo"]
    weather["forEach"] = {"city": ["Bonn", "Berlin", "São Paulo"]}
    assert names(weather)[1:] == ["/weather?city=Berlin", "/weather?city=S%C3%A3o%20Paulo"], "positions stay"


def test_equal_names_get_a_number() -> None:
    assert names({"path": "/items"}, {"path": "/items", "params": {"a": 1}}, {"path": "/items"}) == [
        "/items", "/items#2", "/items#3",
    ]  # fmt: skip
    assert names({"path": "/{a}", "forEach": {"a": ["x", "x"]}}) == ["/x", "/x#2"]


@pytest.mark.parametrize(
    ("value", "path", "param"),
    [
        pytest.param("a b/c?d=é", "/shops/a%20b%2Fc%3Fd%3D%C3%A9", "a b/c?d=é", id="signs"),
        pytest.param(7, "/shops/7", "7", id="number"),
        pytest.param(52.52, "/shops/52.52", "52.52", id="fraction"),
        pytest.param(True, "/shops/true", "true", id="boolean"),
    ],
)
def test_values_are_filled_in(value: Any, path: str, param: str) -> None:
    given = {"path": "/shops/{shop}", "params": {"s": "{shop}", "all": False}, "headers": {"X-Shop": "{shop} {other}"}}
    one = source({**given, "forEach": {"shop": [value]}})
    [element] = elements(one)
    assert path_of(one.requests[0], element.values) == path
    assert params_of(one.requests[0], element.values) == {"s": param, "all": "false"}
    assert headers_of(one.requests[0], element.values) == {"X-Shop": f"{param} {{other}}"}


def test_value_with_a_plus_keeps_its_slashes() -> None:
    one = source({"path": "/repos/{+name}/commits", "params": {"of": "{+name}"}, "forEach": {"name": ["a b/c"]}})
    [element] = elements(one)
    assert element.name == path_of(one.requests[0], element.values) == "/repos/a%20b/c/commits"
    assert params_of(one.requests[0], element.values) == {"of": "a b/c"}
