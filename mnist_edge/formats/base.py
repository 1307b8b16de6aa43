"""What a format is, as data, and what its modules give: exporter, runner, inspector."""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import CONTRACT_KEY
from mnist_edge.artifact.test_vectors import TestVectors
from mnist_edge.errors import UserError
from mnist_edge.formats.runner import Runner, RunnerModule
from mnist_edge.formats.scheme import Precision, Scheme
from mnist_edge.types import TensorSpec

if TYPE_CHECKING:  # only the build machine has it, and a device should not pay for it
    from torch import nn

    from mnist_edge.formats.browser_run import BrowserModule
    from mnist_edge.formats.build import ChainExporter, Exporter, ForeignReader, HarnessModule, Inspection, Inspector
    from mnist_edge.formats.device_run import DevicesModule


@dataclass(frozen=True)
class FormatSpec:
    """What a format is. Everything that depends on the format is read off this; importing it imports nothing else.

    Attributes:
        name: what the command line calls it.
        suffix: how the names of its artifacts end.
        module: the package with its modules: `exporter`, `runner` and, where weights or intermediates can be read,
            `inspector`; `mnist_edge.formats.build` and `RunnerModule` say what each has.
        schemes: the ways to store and compute that it has, the first one unquantized if it has that.
        runs_on: where its artifacts run, for people.
        run_packages: what importing its runner needs, by import name.
        export_packages: what importing its exporter and inspector needs beside PyTorch, by import name.
        export_extra: the extra of mnist-edge that brings what exporting needs.
        run_extra: the extra that brings what running needs; None where `pip install mnist-edge` does.
        one_of: programs on the PATH or packages of which running needs one.
        options: whole numbers that its exporter takes, with their defaults, such as the ONNX opset.
        batch: the only number of images that its artifacts take at once, or None where they take any.
        max_images: how many images its proof may cost, where one is slow (an emulator); None is all of them.
        folder: whether an artifact is a folder.
        embeds_metadata: whether contract and test vectors travel inside; else in a sidecar.
        contract_key: the name under which its artifacts, or their sidecars, carry the contract.
        readable_weights: whether its inspector reads the stored weights.
        intermediates: whether its inspector shows the values between layers.
        foreign: whether its module `foreign` reads files that others made.
        chains_only: whether it takes only networks whose values go through one layer after the other.
        targets: names of the devices that its module `devices` emulates.
        browser: whether its artifacts are pages, which its module `browser` opens.
        harness: whether its module `harness` writes test vectors for the test harness of its runtime.
    """

    name: str
    suffix: str
    module: str
    schemes: tuple[Scheme, ...]
    runs_on: str
    run_packages: tuple[str, ...]
    export_packages: tuple[str, ...] = ()
    export_extra: str = "export"
    run_extra: str | None = None
    one_of: tuple[str, ...] = ()
    options: Mapping[str, int] = field(default_factory=dict)
    batch: int | None = None
    max_images: int | None = None
    folder: bool = False
    embeds_metadata: bool = True
    contract_key: str = CONTRACT_KEY
    readable_weights: bool = True
    intermediates: bool = True
    foreign: bool = False
    chains_only: bool = False
    targets: tuple[str, ...] = ()
    browser: bool = False
    harness: bool = False

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """The precisions that it can be exported in."""
        return tuple(dict.fromkeys(scheme.precision for scheme in self.schemes))

    def schemes_of(self, precision: Precision) -> tuple[Scheme, ...]:
        """Return the schemes of a precision; none where the format does not have it."""
        return tuple(scheme for scheme in self.schemes if scheme.precision is precision)

    def scheme(self, name: str) -> Scheme | None:
        """Return the scheme of that name, or None."""
        return next((scheme for scheme in self.schemes if scheme.name == name), None)

    def batches(self, scheme: Scheme) -> tuple[int, ...]:
        """Return the batch sizes at which artifacts are compared; the first one is that of deployment."""
        return scheme.tolerance.batches if self.batch is None else (self.batch,)

    @property
    def needs_to_run(self) -> tuple[str, ...]:
        """The packages and programs that running needs."""
        return (*self.run_packages, *([_OR.join(self.one_of)] if self.one_of else []))

    @property
    def needs_to_export(self) -> tuple[str, ...]:
        """The packages and programs that exporting needs."""
        return tuple(dict.fromkeys(("torch", *self.export_packages, *self.needs_to_run)))

    def missing_to_run(self) -> list[str]:
        """Return those that running needs and this machine does not have."""
        return [name for name in self.needs_to_run if self._is_missing(name)]

    def missing_to_export(self) -> list[str]:
        """Return those that exporting needs and this machine does not have."""
        return [name for name in self.needs_to_export if self._is_missing(name)]

    def _is_missing(self, name: str) -> bool:
        if name == _OR.join(self.one_of):
            return all(_no_program(each) and _no_package(each) for each in self.one_of)
        return _no_package(name)

    @property
    def install_to_run(self) -> str:
        """The command that installs what running needs."""
        return install_command(self.run_extra)

    def check_installed(self, action: str) -> None:
        """Return if what exporting needs is installed here.

        Args:
            action: what can't be done without, as in "cannot export to onnx".

        Raises:
            UserError: a package or a program is not.
        """
        self._require(self.missing_to_export(), action, self.export_extra)

    def exporter(self) -> "Exporter":
        """Import the exporter.

        Raises:
            UserError: a package or a program that it needs is not installed.
        """
        self.check_installed("export to")
        return cast("Exporter", import_module(f"{self.module}.exporter"))

    def refusal(self, model: "nn.Module", tensor: TensorSpec) -> str | None:
        """Return why no artifact can hold a network, whatever its weights are; None where exporting has to show it.

        Raises:
            UserError: a package or a program that exporting needs is not installed.
        """
        if not self.chains_only:
            return None
        exporter = cast("ChainExporter", self.exporter())
        try:
            exporter.check_network(model, tensor)
        except UserError as error:
            return str(error)
        return None

    def inspector(self) -> "Inspector":
        """Import the inspector; raises as `exporter` does."""
        self.check_installed("look into")
        return cast("Inspector", import_module(f"{self.module}.inspector"))

    def inspect(self, bundle: Bundle, runner: Runner) -> "Inspection | None":
        """Return what can be read in an artifact; None where the format shows nothing. Raises as `Inspector` does."""
        return self.inspector().inspect(bundle, runner) if self.readable_weights or self.intermediates else None

    def foreign_reader(self) -> "ForeignReader | None":
        """Import what reads files that others made; None where the format has nothing for that. Raises as `open`."""
        if not self.foreign:
            return None
        self._require(self.missing_to_run(), "run", self.run_extra)
        return cast("ForeignReader", import_module(f"{self.module}.foreign"))

    def devices(self) -> "DevicesModule":
        """Import what runs artifacts on emulated devices, of a format that has `targets`."""
        return cast("DevicesModule", import_module(f"{self.module}.devices"))

    def browser_module(self) -> "BrowserModule":
        """Import what opens artifacts in a browser, of a format whose artifacts are pages."""
        return cast("BrowserModule", import_module(f"{self.module}.browser"))

    def harness_files(self, bundle: Bundle, vectors: TestVectors) -> dict[str, bytes]:
        """Return test vectors as the test harness of the runtime takes them, by name; none where it has no own form."""
        if not self.harness:
            return {}
        module = cast("HarnessModule", import_module(f"{self.module}.harness"))
        return module.harness_files(bundle, vectors)

    def names_contract(self, bundle: Bundle) -> bool:
        """Say whether files carry a contract, however damaged they are, and so may be an artifact of this format."""
        return self.contract_key.encode() in b"".join(bundle.files.values())

    def open(self, bundle: Bundle) -> "Runner":
        """Open an artifact in the format's runtime.

        Raises:
            ArtifactError: it can't be opened, or carries no contract that is understood here.
            UserError: a package or a program that it needs is not installed.
        """
        self._require(self.missing_to_run(), "run", self.run_extra)
        return cast("RunnerModule", import_module(f"{self.module}.runner")).open_runner(bundle)

    def program(self, bundle: Bundle) -> Mapping[str, bytes]:
        """Return what an artifact computes, without its metadata, as bytes by name; raises `ArtifactError`."""
        if self.embeds_metadata:
            return self.inspector().program(bundle)
        return {name: data for name, data in bundle.files.items() if name != bundle.sidecar_name}

    def _require(self, missing: Sequence[str], action: str, extra: str | None) -> None:
        if missing:
            raise UserError(
                f"cannot {action} {self.name}: {', '.join(missing)} not installed; {install_command(extra)}"
            )


_OR = " or "


def _no_package(name: str) -> bool:
    return importlib.util.find_spec(name) is None


def _no_program(name: str) -> bool:
    import shutil  # most formats need no program, and a device should not pay for it

    return shutil.which(name) is None


def install_command(extra: str | None) -> str:
    """Return the command that installs what a format needs."""
    return f"pip install 'mnist-edge[{extra}]'" if extra else "pip install mnist-edge"


@dataclass(frozen=True)
class ArtifactFile:
    """An artifact that was read.

    Attributes:
        path: where it is, or shall be.
        spec: its format.
        bundle: its bytes.
    """

    path: Path
    spec: FormatSpec
    bundle: Bundle

    def open(self) -> Runner:
        """Open it in its own runtime; raises as `FormatSpec.open` does."""
        return self.spec.open(self.bundle)
