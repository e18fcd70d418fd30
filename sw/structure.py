"""What two programs must have in common to run on the same hardware: everything but the contents of their ROMs."""

from collections.abc import Mapping
from dataclasses import asdict, fields

from sw.program import Program

__all__ = ["differences"]


def differences(built: Program, wanted: Program) -> list[str]:
    """What the hardware of ``built`` would have to be different in to run ``wanted``, a line for each; or nothing.

    Names of networks and layers do not count, nor do weights, thresholds, and what lies in the store.
    """
    have, need = _properties(built), _properties(wanted)
    found = [
        f"{title} {_text(have.get(title))} in the build, {_text(need.get(title))} in the network"
        for title in [*have, *(title for title in need if title not in have)] if have.get(title) != need.get(title)
    ]
    return found or _descriptor_differences(built, wanted)


def _properties(program: Program) -> Mapping[str, object]:
    """By title: sizes, widths and shapes that the hardware is made for."""
    engine, image, unit = program.engine, program.image, program.words
    found: dict[str, object] = {
        "array": f"{engine}, {engine.drain} drained a cycle",
        **({} if image is None else {
            "image": image.shape, "bits of a pixel": image.bits, "integers of a pixel": image.code_width,
            "packed 1-bit input": image.flat, "kernel of the first layer": image.kernel, "its stride": image.stride,
            "its padding": image.padding, "its pool": image.pool, "its results": image.out_shape}),
        "map from another engine": program.source, "map for another engine": program.target,
        "layers": len(program.layer_shapes), "classes": program.classes,
        "words of the program": len(program.descriptors), "strides": program.strides, "pools": program.pooling,
        "bits of a sum": program.sum_width, "bits of a score": program.score_width,
        "words of the feature memory": program.feature_depth,
        "weight ROM (words, bits)": program.weights.shape,
        "threshold ROM (words, thresholds)": program.thresholds.shape, "bits of a threshold": program.threshold_width,
        "words on shortcuts": unit is not None,
    }
    if unit is not None:
        others = (field.name for field in fields(unit) if field.name not in ("constants", "store"))
        found |= {f"words on shortcuts, {name.replace('_', ' ')}": getattr(unit, name) for name in others}
        found |= {f"bits of a channel's {name}": bits for name, bits in asdict(unit.constants).items()}
        found["words of the store"] = len(unit.store)
    return found


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _descriptor_differences(built: Program, wanted: Program) -> list[str]:
    """The fields in which the first descriptor that differs does so."""
    form = built.form
    for start in range(0, len(built.descriptors), form.words):
        have, need = (form.decode(program.descriptors[start:start + form.words]) for program in (built, wanted))
        if have != need:
            return [
                f"step {start // form.words + 1} of the program, {form.fields[name].meaning}: {value} in the build, "
                f"{need[name]} in the network" for name, value in have.items() if value != need[name]
            ]
    return []
