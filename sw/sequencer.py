"""The half of a layer's descriptor that drives the sequencer: loop bounds, addresses and pitches."""

from collections.abc import Mapping

from sw.folding import LayerPlan

__all__ = ["sequencer_fields"]


def sequencer_fields(plan: LayerPlan, *, first: bool, source: int, pixel_words: int, groups_x: int, depth: int,
                     weights: int, cooling: int, last: bool = False, windows: int = 1,
                     turn: int = 1) -> Mapping[str, int]:
    """Fields of ``sw.descriptor`` for a layer whose weights begin at address ``weights``.

    ``source`` is the feature address of its input's pixel (0, 0), whose pixels have ``pixel_words`` words and whose
    rows ``groups_x`` column groups; for a layer that takes the image they are not used. ``depth`` is the number of
    feature addresses, ``cooling`` the cycles between the ends of two passes. The ``last`` layer's results leave the
    engine. Of a grouped convolution ``turn`` channel groups
    take their taps from a pixel's first words, as many from those behind them, up to ``windows``, and then from the
    first again.
    """
    layer, engine = plan.layer, plan.engine
    on_map = layer.source == "features"
    modulus = 1 << (depth - 1).bit_length()
    row_pitch = groups_x * pixel_words if on_map else 0
    padding = layer.padding if on_map else 0
    shift, phase = divmod(-padding, engine.columns)
    address = (source - padding * row_pitch + shift * pixel_words) % modulus if on_map else 0
    row_taps = plan.kernel[1] * plan.words
    return {
        "rows_out": layer.out_shape[0] - 1, "groups_x": plan.groups_x - 1, "groups_c": plan.groups_c - 1,
        "pool": layer.pool - 1, "stride": layer.stride - 1, "windows": windows - 1, "turn": turn - 1,
        "kernel_h": plan.kernel[0] - 1, "kernel_w": plan.kernel[1] - 1,
        "in_height": layer.in_shape[0] - 1 if on_map else 0, "in_width": layer.in_shape[1] - 1 if on_map else 0,
        "words": plan.words - 1, "skip": pixel_words - plan.words if on_map else 0, "planes": layer.planes - 1,
        "head": int(last), "padding": padding, "phase": phase, "first": int(first),
        "image": int(not on_map), "cooling": cooling - 1, "address": address, "row_pitch": row_pitch,
        "weights": weights, "row_taps": row_taps, "group_taps": plan.kernel[0] * row_taps,
    }
