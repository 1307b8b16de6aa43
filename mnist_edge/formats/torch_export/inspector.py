"""What is read in a `torch.export` archive: structure, stored weights, the program alone."""

from collections import Counter
from collections.abc import Mapping
from contextlib import closing

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.formats.archives import pack_archive
from mnist_edge.formats.build import Inspection, ModelSummary, float_tensor
from mnist_edge.formats.runner import Runner
from mnist_edge.formats.torch_export.archive import SAMPLE_INPUTS, read_archive
from mnist_edge.formats.torch_export.runner import SESSION
from mnist_edge.formats.torch_export.sample import sample_inputs
from mnist_edge.sandbox.client import open_session


def inspect(bundle: Bundle, runner: Runner) -> Inspection:
    """Return what can be read in an archive; see `mnist_edge.formats.build.Inspector`."""
    sample = sample_inputs(runner.contract.task.input.shape)
    with closing(open_session(SESSION, pack_archive({**read_archive(bundle.data), SAMPLE_INPUTS: sample}))) as session:
        found, tensors = session.call("describe")
    return Inspection(
        summary=ModelSummary(
            operators=dict(Counter(found["operators"])),
            parameters=sum(tensor.size for name, tensor in tensors.items() if "running_" not in name),
            tensors={name: (found["types"][name], tensor.shape) for name, tensor in tensors.items()},
        ),
        weights={name: float_tensor(tensor) for name, tensor in tensors.items()},
        problems=(),
    )


def program(bundle: Bundle) -> Mapping[str, bytes]:
    """Return an archive without its metadata; see `mnist_edge.formats.build.Inspector`."""
    return {name: data for name, data in read_archive(bundle.data).items() if not name.startswith("extra/")}
