"""Artifacts as an exporter gives them, with a checksum but without a verdict."""

from pathlib import Path

from torch import nn

from mnist_edge.formats.base import ArtifactFile, FormatSpec
from mnist_edge.parity.reference import Reference


def unjudged(
    spec: FormatSpec,
    reference: Reference,
    scheme: str = "none",
    *,
    model: nn.Module | None = None,
    options: dict[str, int] | None = None,
) -> ArtifactFile:
    """Return an artifact of the reference's checkpoint, or of another model that claims to be it."""
    chosen = spec.scheme(scheme)
    assert chosen is not None
    request = reference.request(spec, chosen, {**spec.options, **(options or {})})
    (bundle,) = spec.exporter().export(model or reference.checkpoint.build(), [request])
    return ArtifactFile(Path(f"a{spec.suffix}"), spec, bundle.with_checksum())
