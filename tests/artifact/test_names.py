import pytest

from mnist_edge.artifact.names import BUILTIN_ARCHITECTURES, file_stem, is_own, recorded_name
from mnist_edge.formats.scheme import Precision
from mnist_edge.training.architectures.registry import ARCHITECTURES
from mnist_edge.training.datasets.registry import DATASETS

MNIST = DATASETS["mnist"].task


def test_the_names_of_the_registry() -> None:
    assert tuple(ARCHITECTURES) == BUILTIN_ARCHITECTURES
    assert not any(map(is_own, ARCHITECTURES))


def test_no_file_of_a_network_of_ones_own_has_the_name_of_a_built_in_one() -> None:
    for precision in Precision:
        assert file_stem(MNIST, f"net.py:mlp_{precision}") != f"{file_stem(MNIST, 'mlp')}-{precision}"


@pytest.mark.parametrize(
    ("spec", "recorded", "stem"),
    [
        ("mlp", "mlp", "mnist-mlp"),
        ("net.py:Net", "net.py:Net", "mnist-net"),
        ("/home/me/my nets/net.py:make_net", "net.py:make_net", "mnist-make-net"),
        ("package.module:ResNet18", "package.module:ResNet18", "mnist-resnet18"),
        ("net.py:MLP", "net.py:MLP", "mnist-net-mlp"),
        ("net.py:mlp_int8", "net.py:mlp_int8", "mnist-net-mlp-int8"),
        ("net.py:CNN_fp16", "net.py:CNN_fp16", "mnist-net-cnn-fp16"),
        ("net.py:mlp_int9", "net.py:mlp_int9", "mnist-mlp-int9"),
        ("mlp.py:网", "mlp.py:网", "mnist-net-mlp"),
        ("netz.py:Größe", "netz.py:Größe", "mnist-gr-e"),
        ("netz.py:网", "netz.py:网", "mnist-netz"),
    ],
)
def test_a_record_names_no_folder_and_a_file_only_plain_letters(spec: str, recorded: str, stem: str) -> None:
    assert recorded_name(spec) == recorded
    assert file_stem(MNIST, recorded) == file_stem(MNIST, spec) == stem
