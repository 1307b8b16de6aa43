"""Checkpoints that somebody else has made."""

import dataclasses
import math
import os
from pathlib import Path

import pytest

from mnist_edge.errors import UserError
from mnist_edge.training.checkpoint import Checkpoint, load_checkpoint


@pytest.mark.parametrize("temperature", [-1.0, 0.0, -0.0, math.inf, -math.inf, math.nan, 1e300, 5e-324])
def test_a_temperature_that_divides_nothing_is_refused(
    temperature: float, released: Checkpoint, tmp_path: Path
) -> None:
    path = tmp_path / "c.safetensors"
    path.write_bytes(dataclasses.replace(released, temperature=temperature, file_digest=None).to_bytes())
    with pytest.raises(UserError, match="temperature is not a finite number") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_pipe_a_device_and_a_file_without_end_are_refused(tmp_path: Path) -> None:
    pipe, device, endless = (tmp_path / f"{name}.safetensors" for name in ("pipe", "device", "endless"))
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    for path in (pipe, device):
        with pytest.raises(UserError, match="it is a pipe, a device or a socket"):
            load_checkpoint(path)
    endless.touch()
    os.truncate(endless, 1 << 40)
    with pytest.raises(UserError, match="it is longer than"):
        load_checkpoint(endless)
