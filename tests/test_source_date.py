from datetime import UTC, datetime

import pytest

from mnist_edge.errors import UserError
from mnist_edge.source_date import source_date


@pytest.mark.parametrize(
    ("given", "time"),
    [
        ("1700000000", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("0", datetime(1970, 1, 1, tzinfo=UTC)),
        ("253402300799", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("", None),
        (None, None),
    ],
)
def test_a_build_can_be_given_its_time(
    given: str | None, time: datetime | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    if given is not None:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", given)
    assert source_date() == time


@pytest.mark.parametrize("given", ["now", "1e9", "-1", "1_000", " 1", "١", "253402300800", "9" * 30, "9" * 5000])
def test_a_time_that_is_not_one_is_one_line(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", given)
    with pytest.raises(UserError, match=f"SOURCE_DATE_EPOCH is '{given}', expected whole seconds since 1970"):
        source_date()
