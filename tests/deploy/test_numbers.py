"""The pages of numbers keep to Prometheus' conventions, by its own word."""

from collections.abc import Callable

import pytest

from tests.deploy.exported import engine_page, worker_page
from tests.deploy.promtool import promtool


@pytest.mark.parametrize("page", [engine_page, worker_page])
def test_prometheus_finds_nothing_wrong_with_a_page(page: Callable[[], str]) -> None:
    text = page()
    assert "# TYPE moshi_" in text
    assert promtool("check", "metrics", given=text) == ""


def test_it_finds_what_is_wrong() -> None:
    with pytest.raises(pytest.fail.Exception, match="counter metrics should have"):
        promtool(
            "check", "metrics", given="# HELP moshi_calls Calls\n# TYPE moshi_calls counter\nmoshi_calls 1\n"
        )
