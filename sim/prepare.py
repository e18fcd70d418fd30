"""From a network and images to a job whose expected results come from the integer reference."""

import numpy as np

from sim.job import Job
from sim.layout import layouts_of
from sw import ir
from sw.compile import compile_graph
from sw.pipeline import compile_pipeline
from sw.reference import run

__all__ = ["expected_result", "make_job", "make_pipeline_job", "program_job"]


def expected_result(scores, category, score_bytes):
    """The bytes of a result: scores as integers of ``score_bytes`` bytes, low byte first, then the class."""
    return np.asarray(scores, f"<i{score_bytes}").tobytes() + bytes([category])


def make_job(graph, engine, images, *, traced=3, shared_store=False):
    """Compile ``graph`` (lowered) for ``engine`` and run the reference on ``images`` (``uint8 (N, H, W, C)``); the
    first ``traced`` of them keep their maps."""
    kept = run(graph, images[:traced], trace=True).maps
    program = compile_graph(graph, engine, shared_store)
    return program_job(program, graph, images, **_maps(graph, program, kept))


def make_pipeline_job(graph, engines, images, *, cuts=None, traced=3):
    """As ``make_job``, for engines in a row; ``cuts`` as ``sw.pipeline.compile_pipeline`` takes them."""
    kept = run(graph, images[:traced], trace=True).maps
    return program_job(compile_pipeline(graph, engines, cuts), graph, images,
                       maps=tuple(kept[name].astype(np.int8) for name in _results(graph)))


def program_job(program, graph, images, **maps):
    """The job of a program that was compiled from ``graph`` (lowered): ``images`` with what the reference makes of
    them. ``maps`` are the further fields of ``Job``.
    """
    result = run(graph, images)
    return Job(
        program=program,
        payloads=np.array([np.frombuffer(program.image.pack(image), np.uint8) for image in images]),
        expected=np.array([
            np.frombuffer(expected_result(scores, category, program.score_bytes), np.uint8)
            for scores, category in zip(result.scores, result.classes, strict=True)
        ]),
        **maps,
    )


def _maps(graph, program, kept):
    """Of a job: all bits and words that the engine stores, and where."""
    if program.words is None:
        return {"maps": tuple(kept[name].astype(np.int8) for name in _results(graph))}
    layouts, names = layouts_of(graph, program.engine)
    return {
        "maps": tuple(kept[bits][..., places].astype(np.int8) for _, bits, places in names), "layouts": tuple(layouts),
        "words": tuple(np.zeros(0, np.int16) if words is None else kept[words].astype(np.int16)
                       for words, _, _ in names),
    }


def _results(graph):
    """Names of the nodes whose results go to the feature memory, layer by layer."""
    names = []
    for node in graph.nodes:
        if isinstance(node, ir.Threshold):
            names.append(node.name)
        elif isinstance(node, ir.MaxPool):
            names[-1] = node.name
    return names
