"""Artifacts as an exporter gives them, with a checksum but without a verdict."""

from collections.abc import Sequence
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
    (artifact,) = unjudged_schemes(spec, reference, [scheme], model=model, options=options).values()
    return artifact


def unjudged_schemes(
    spec: FormatSpec,
    reference: Reference,
    schemes: Sequence[str],
    *,
    model: nn.Module | None = None,
    options: dict[str, int] | None = None,
) -> dict[str, ArtifactFile]:
    """Return artifacts in several schemes, by their names; the exporter converts the network to the format once.

    The reference remembers what the exporter gave for its own model, as it does when it exports.
    """
    requests = []
    for name in schemes:
        chosen = spec.scheme(name)
        assert chosen is not None
        requests.append(reference.request(spec, chosen, {**spec.options, **(options or {})}))
    bundles = dict(zip(schemes, spec.exporter().export(model or reference.checkpoint.build(), requests), strict=True))
    if model is None:
        for request, bundle in zip(requests, bundles.values(), strict=True):
            reference.remember_program(spec, request, bundle)
    return {
        name: ArtifactFile(Path(f"a{spec.suffix}"), spec, bundle.with_checksum()) for name, bundle in bundles.items()
    }
