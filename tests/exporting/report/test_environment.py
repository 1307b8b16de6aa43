from datetime import UTC, datetime, timedelta

import pytest
import torch

from mnist_edge import __version__
from mnist_edge.exporting.report.environment import PACKAGES, Environment


def test_it_is_this_machine_now() -> None:
    here = Environment.here()
    assert timedelta(0) <= datetime.now(UTC) - here.made < timedelta(minutes=1)
    assert here.made.microsecond == 0
    assert here.processor
    assert list(here.versions) == ["Python", *PACKAGES]
    assert here.versions["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert here.versions["mnist-edge"] == __version__


def test_a_build_can_be_given_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert Environment.here().made == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def test_what_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnist_edge.exporting.report.environment.PACKAGES", ("numpy", "not-installed"))
    assert list(Environment.here().versions) == ["Python", "numpy"]
