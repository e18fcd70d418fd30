"""From a network and images to a job whose expected results come from the integer reference."""

import numpy as np

from sim.job import Job
from sw import ir
from sw.program import compile_graph
from sw.reference import run

__all__ = ["expected_result", "make_job"]


def expected_result(scores, category):
    """The bytes of a result: scores as 16-bit integers, low byte first, then the class."""
    return np.asarray(scores, "<i2").tobytes() + bytes([category])


def make_job(graph, engine, images, *, traced=3):
    """Compile ``graph`` (lowered) for ``engine`` and run the reference on ``images`` (``uint8 (N, H, W, C)``); the
    first ``traced`` of them keep their maps."""
    program = compile_graph(graph, engine)
    result = run(graph, images)
    kept = run(graph, images[:traced], trace=True).maps
    return Job(
        program=program,
        payloads=np.array([np.frombuffer(program.image.pack(image), np.uint8) for image in images]),
        expected=np.array([
            np.frombuffer(expected_result(scores, category), np.uint8)
            for scores, category in zip(result.scores, result.classes, strict=True)
        ]),
        maps=tuple(kept[name].astype(np.int8) for name in _results(graph)),
    )


def _results(graph):
    """Names of the nodes whose results go to the feature memory, layer by layer."""
    names = []
    for node in graph.nodes:
        if isinstance(node, ir.Threshold):
            names.append(node.name)
        elif isinstance(node, ir.MaxPool):
            names[-1] = node.name
    return names
