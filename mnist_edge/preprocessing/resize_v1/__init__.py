"""Any picture → an image of a fixed size: upright, in gray or color, scaled to it, and otherwise as it is."""

from mnist_edge.preprocessing.resize_v1.pipeline import MAX_SIDE, for_input

__all__ = ["MAX_SIDE", "for_input"]
