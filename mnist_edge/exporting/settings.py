"""What is asked of an export, refused before any work where a format does not have it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mnist_edge.errors import UserError
from mnist_edge.formats.base import FormatSpec
from mnist_edge.formats.scheme import Precision, Scheme
from mnist_edge.formats.targets import check_target_images
from mnist_edge.parity.tolerance import NO_GOALS, Goals


@dataclass(frozen=True)
class ExportSettings:
    """What is asked of an export.

    Attributes:
        formats: to export to.
        precisions: to export in; a format that does not have one is passed over for it. None is the first one that each
            format has: fp32, where it has that.
        options: of the formats, such as the ONNX opset; those that are not given have the format's default.
        goals: what each artifact must keep beyond the tolerance of its scheme.
        scheme: how quantized artifacts are stored and computed, in the precisions that have it; None, and in the other
            precisions, compares all that the format has.
        targets: emulated devices that artifacts of a format that has them must give the same logits on.
        target_images: on how many of the images, or None for all.
        test_data: whether the test vectors are also written for the test harnesses of other runtimes.
        force: whether files that no export has written are replaced.
    """

    formats: Sequence[FormatSpec]
    precisions: Sequence[Precision] | None = None
    options: Mapping[str, int] = field(default_factory=dict)
    goals: Goals = NO_GOALS
    scheme: str | None = None
    targets: tuple[str, ...] = ()
    target_images: int | None = None
    test_data: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        """Refuse an export of nothing, and what a format does not have, before any work is done; raises `UserError`."""
        if not self.formats:
            raise UserError("there is no format to export to: name at least one")
        if self.precisions is not None and not self.precisions:
            raise UserError(f"there is no precision to export in: name at least one, such as {Precision.FP32}")
        check_target_images(self.target_images, self.targets)
        for spec in self.formats:
            for name in self.options:
                if name not in spec.options:
                    others = any(name in other.options for other in self.formats)
                    apart = f", or export {spec.name} by a command of its own" if others else ""
                    raise UserError(f"{spec.name} has no {name}: leave out --{name}{apart}")
            self._check_scheme(spec)
            for precision in self.precisions_of(spec):
                for scheme in self.schemes_of(spec, precision):
                    self._check_options(spec, scheme)
        for precision in self.precisions or ():
            if not any(spec.schemes_of(precision) for spec in self.formats):
                has = "; ".join(f"{spec.name} has {', '.join(spec.precisions)}" for spec in self.formats)
                raise UserError(f"none of the formats can be exported in {precision}: {has}")

    def _check_scheme(self, spec: FormatSpec) -> None:
        """Refuse a scheme that a format has in none of its precisions that are quantized; raises `UserError`."""
        quantized = self._quantized(spec)
        if self.scheme is None or not quantized or any(scheme.name == self.scheme for scheme in quantized):
            return
        precisions = " or ".join(dict.fromkeys(scheme.precision for scheme in quantized))
        known = ", ".join(dict.fromkeys(scheme.name for scheme in quantized))
        raise UserError(f"{spec.name} has no {precisions} scheme {self.scheme!r}: expected one of {known}")

    def _check_options(self, spec: FormatSpec, scheme: Scheme) -> None:
        """Refuse an option that is less than a scheme needs; raises `UserError`."""
        for name, least in scheme.least_options:
            if self.options.get(name, least) < least:
                raise UserError(f"{spec.name} in {scheme.precision} needs {name} {least} or later: leave out --{name}")

    @property
    def quantizes(self) -> bool:
        """Whether some artifact is to be stored in fewer bits than the weights were trained in."""
        return any(self._quantized(spec) for spec in self.formats)

    def _quantized(self, spec: FormatSpec) -> list[Scheme]:
        """Return the schemes of a format, of the precisions to export in, that store weights in fewer bits."""
        schemes = [scheme for precision in self.precisions_of(spec) for scheme in spec.schemes_of(precision)]
        return [scheme for scheme in schemes if scheme.quantized]

    def precisions_of(self, spec: FormatSpec) -> tuple[Precision, ...]:
        """Return the precisions to export a format in, in this order."""
        wanted = spec.precisions[:1] if self.precisions is None else self.precisions
        return tuple(precision for precision in wanted if precision in spec.precisions)

    def schemes_of(self, spec: FormatSpec, precision: Precision) -> tuple[Scheme, ...]:
        """Return the schemes to export in: the one that was asked for, or all that this precision has without it."""
        schemes = spec.schemes_of(precision)
        return tuple(scheme for scheme in schemes if scheme.name == self.scheme) or schemes
