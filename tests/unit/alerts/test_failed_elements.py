"""What an alert quotes of the errors of a source."""

from __future__ import annotations

from html import unescape

import pytest

from include.alerts.failed_elements import FailedElement, with_failed_elements
from include.alerts.message import Alert, Item
from include.errors import Code
from include.settings import AlertSettings

pytestmark = pytest.mark.unit

RUN = Alert("shop", "the run failed", {"collect_0": 1}, (Item("collect_0", "failed"),), advice="See the log.")


def alert(*failed: FailedElement, tasks: int = 1, most: int = 10) -> Alert:
    return with_failed_elements(RUN, failed, tasks, AlertSettings(max_files=most))


@pytest.mark.parametrize("code", [Code.SOURCE_UNAVAILABLE, Code.SOURCE_REFUSED, Code.RATE_LIMITED])
def test_message_about_the_api_is_quoted(code: Code) -> None:
    made = alert(FailedElement("/orders", code.value, "answers 503 <b>"))
    assert made.items == (Item("/orders", code.value, message="answers 503 <b>"),)
    fields = made.fields()
    assert f"- /orders: {code}\n  answers 503 <b>\n" in fields["text"]
    assert "answers 503 &lt;b&gt;" in fields["html"]
    assert made.advice in unescape(fields["html"])


@pytest.mark.parametrize("code", sorted(set(Code) - {Code.SOURCE_UNAVAILABLE, Code.SOURCE_REFUSED, Code.RATE_LIMITED}))
def test_message_that_may_quote_values_is_not_sent(code: Code) -> None:
    [item] = alert(FailedElement("/orders", code.value, "the value of Jane Doe is bad")).items
    assert "Jane Doe" not in item.message
    assert item.message
    assert "`" not in item.message


def test_code_of_another_version_has_no_message() -> None:
    made = alert(FailedElement("/orders", "code-of-tomorrow", "the value of Jane Doe is bad"))
    assert made.items == (Item("/orders", "code-of-tomorrow"),)
    assert made.causes == {"code-of-tomorrow": 1}


def test_elements_over_the_limit_and_tasks_without_elements_are_counted() -> None:
    failed = [FailedElement(f"/{number}", "source-refused", "no") for number in range(5)]
    made = alert(*failed, tasks=6, most=2)
    assert (made.happened, [item.name for item in made.items], made.more) == (
        "5 elements not collected", ["/0", "/1"], 3,
    )  # fmt: skip
    assert made.causes == {"source-refused": 5}
    assert made.advice.startswith("source-refused: Check connection and names. 1 more task failed: the log gives")
    assert "more task" not in alert(*failed, tasks=5).advice
