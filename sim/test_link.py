"""Requests and replies over the serial pins of a simulated accelerator, good ones and broken ones."""

from hw.protocol import ResultLayout, Status, decode_reply, encode_reply, encode_request
from sim.link import exchange
from sw.compile import compile_graph
from sw.engine import Engine
from sw.reference import run
from tests.sw.networks import random_images, random_mlp
from tests.sw.word_networks import Unit, random_residual


def test_replies():
    graph = random_mlp(31, (40, 16, 5))
    program = compile_graph(graph, Engine(8, 1, 16, 2))
    images = random_images(5, graph.inputs.shape, 2)
    wanted = run(graph, images)
    good = [encode_request(program.image.pack(image)) for image in images]
    layout = ResultLayout(program.classes, program.score_bytes)

    def check(reply, index):
        status, result = decode_reply(reply, layout.size)
        assert status is Status.OK
        assert layout.decode(result) == (wanted.scores[index].tolist(), int(wanted.classes[index]))

    check(exchange(program, good[0]), 0)
    damaged = bytearray(good[0])
    damaged[2] ^= 1
    refusal = encode_reply(Status.CRC)
    reply = exchange(program, bytes(damaged) + good[1], replies=2)
    assert reply[:len(refusal)] == refusal
    check(reply[len(refusal):], 1)
    assert exchange(program, good[0][:4]) == encode_reply(Status.TIMEOUT)


def test_weights_from_flash():
    """A whole board loads its weights, classifies, and says so while it cannot or if they are damaged."""
    graph = random_residual(32, (6, 6, 1), 4, units=(Unit(8), Unit(8)))
    program = compile_graph(graph, Engine(4, 3, 8), shared_store=True)
    image = random_images(5, graph.inputs.shape)[0]
    request = encode_request(program.image.pack(image))
    layout = ResultLayout(program.classes, program.score_bytes)
    wanted = run(graph, image[None])
    status, result = decode_reply(exchange(program, request), layout.size)
    assert status is Status.OK
    assert layout.decode(result) == (wanted.scores[0].tolist(), int(wanted.classes[0]))
    assert exchange(program, request, at_once=True) == encode_reply(Status.NOT_READY)
    assert exchange(program, request, damaged=1000) == encode_reply(Status.STORE_DAMAGED)
