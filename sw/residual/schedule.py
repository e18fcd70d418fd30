"""The exact schedule of a residual network: blocks of channels, their post-processing, fetches and the pooled head."""

from collections.abc import Sequence

from sw.descriptor import SEQUENCER_WORDS, WORDS
from sw.engine import Engine
from sw.program import score_bytes
from sw.residual.blocks import Block, Fold
from sw.residual.layers import PooledLayer, WordNetwork
from sw.schedule import Issue, LayerSchedule, Schedule, issue_beats, start_up
from sw.timing import FrameTiming

__all__ = ["AVERAGE_CADENCE", "cadence", "drain_cycles", "fetches_late", "head_score_width", "schedule_blocks"]

#: From a pass's last beat to the sums at the post-processing unit (its ``load``): address, memory, word register,
#: matches, sum; and the popcount's stages.
BEAT_TO_LOAD = 5
#: Cycles of a pair of rows: a word is read and one is written; an average takes four reads.
CADENCE, AVERAGE_CADENCE = 2, 5
#: From a pass's last row to its last result's write, beyond the rows' cycles. Slopes take more stages.
ROWS_TO_DONE, SLOPES = 5, 3
#: To the next block's record, beyond a cycle a store word: from begin, from the earliest check where the fetch waits
#: until the block is done, and from reset.
FETCH, LATE_FETCH, FETCH_AT_RESET = 5, 4, 4
#: From the head's done to the next frame's earliest check, and to the result's first byte.
HEAD_RECOVER, RESULT = 1, 2
#: From the head's begin to its done and in each pair of channels, beyond what both are made of; see ``head_cycles``.
HEAD_START, HEAD_PAIR, HEAD_SLOTS = 7, 5, 3

#: From a block's check to its begin.
BEGIN = WORDS.drain_words + 1


def cadence(fold: Fold) -> int:
    """Cycles of a pair of rows of a layer."""
    shortcut = fold.layer.shortcut
    return AVERAGE_CADENCE if shortcut and shortcut.kind == "average" else CADENCE


def _stages(network: WordNetwork) -> int:
    """Further stages of post-processing."""
    return SLOPES if network.bends else 0


def drain_cycles(fold: Fold, engine: Engine) -> int:
    """Cycles in which a pass of a layer drains."""
    return fold.layer.tiles * engine.rows // 2 * cadence(fold)


def _recover(network: WordNetwork, fold: Fold, engine: Engine) -> int:
    """From a block's last beat to the next block's earliest check: the cycle after its last result is written."""
    done = BEAT_TO_LOAD + engine.popcount_stages + drain_cycles(fold, engine) + ROWS_TO_DONE + _stages(network)
    return max(SEQUENCER_WORDS + 1, done + 1)


def head_cycles(head: PooledLayer, source: Fold, engine: Engine) -> int:
    """From the head's begin to its done. A pair of channels takes as long as its pixels or its products."""
    groups = head.in_shape[0] * source.groups_x
    classes, pairs = len(head.weights), head.in_shape[2] // 2
    stages = max(1, (engine.columns - 1).bit_length())
    slots = max(HEAD_SLOTS, classes)
    period = max(groups + 2, 2 * slots, slots + stages + HEAD_PAIR)
    return groups + (pairs - 1) * period + stages + slots + classes + HEAD_START


def head_score_width(head: PooledLayer) -> int:
    """Bits of a signed score, at least the 9 that two bytes need."""
    return max(8, head.reach.bit_length()) + 1


def fetches_late(network: WordNetwork, folds: Sequence[Fold], engine: Engine, records: Sequence[int]) -> list[bool]:
    """For each block, and at last the head, whether words leave a shared store too few cycles for the next record.

    Every access of a word may hold up the fetch; where that could be too late, it waits until the block is done.
    """
    late = []
    for (fold, block), record in zip(_blocks(folds), records[1:], strict=True):
        layer = fold.layer
        pairs = layer.out_shape[0] * fold.groups_x * block.count * layer.tiles * engine.rows // 2
        reads = cadence(fold) - 1 if layer.shortcut else 0
        run = _run(network, fold, _issue(fold, block), engine)
        late.append(record + FETCH + pairs * (reads + int(layer.keep)) > run - BEGIN)
    head = network.head
    source = folds[head.inputs]
    reads = head.in_shape[0] * source.groups_x * head.in_shape[2] // 2
    return [*late, records[0] + FETCH + reads > head_cycles(head, source, engine) + HEAD_RECOVER]


def _blocks(folds: Sequence[Fold]) -> list[tuple[Fold, Block]]:
    return [(fold, block) for fold in folds for block in fold.blocks]


def _issue(fold: Fold, block: Block) -> Issue:
    # Features lie in block RAM, which is written while it is read.
    return issue_beats(block.plan, drain_cycles(fold, block.plan.engine), [[] for _ in range(block.count)])


def _run(network: WordNetwork, fold: Fold, issue: Issue, engine: Engine) -> int:
    """From a block's check to the next one's, if its record is there."""
    return BEGIN + issue.last + _recover(network, fold, engine)


def schedule_blocks(network: WordNetwork, folds: Sequence[Fold], engine: Engine, records: Sequence[int],
                    late: Sequence[bool]) -> Schedule:
    """The schedule of all blocks and the head.

    ``records`` are the store words of each one's, ``late`` says which fetch the next record only when they are done.
    """
    blocks = _blocks(folds)
    issues = [_issue(fold, block) for fold, block in blocks]
    runs = [_run(network, fold, issue, engine) for (fold, _), issue in zip(blocks, issues, strict=True)]
    waits = [_wait(run - BEGIN, record, waiting) for run, record, waiting in zip(runs, records[1:], late, strict=False)]
    rows = []
    for fold in folds:
        own = [index for index, (other, _) in enumerate(blocks) if other is fold]
        parts = [issues[index] for index in own]
        rows.append(LayerSchedule(
            name=fold.layer.name, kind="conv", binary_macs=fold.layer.convolution.binary_macs,
            ideal_cycles=fold.layer.convolution.binary_macs / engine.synapses_per_cycle,
            issue_cycles=sum(part.beats for part in parts), write_stalls=sum(part.write_stalls for part in parts),
            drain_stalls=sum(part.drain_stalls for part in parts),
            input_stalls=sum(part.input_stalls for part in parts),
            fetch_stalls=sum(waits[index] for index in own),
            gap_cycles=sum(runs[index] - issues[index].last - 1 + start_up(issues[index]) for index in own),
            is_3x3=fold.layer.convolution.is_3x3))
    head = network.head
    source = folds[head.inputs]
    length = head_cycles(head, source, engine)
    wait = _wait(length + HEAD_RECOVER, records[0], late[-1])
    rows.append(LayerSchedule(
        name=head.name, kind="pooled", binary_macs=0, ideal_cycles=0.0, issue_cycles=0, write_stalls=0, drain_stalls=0,
        input_stalls=0, fetch_stalls=wait, gap_cycles=BEGIN + length + HEAD_RECOVER, is_3x3=False))
    shape = network.image.shape
    timing = FrameTiming(
        beats=shape[0] * shape[1] * shape[2],
        result_bytes=score_bytes(head_score_width(head)) * len(head.weights) + 1, input_buffers=1, result_buffers=2,
        reset_to_check=max(SEQUENCER_WORDS + 1, FETCH_AT_RESET + records[0]),
        body=sum(runs) + sum(waits), head=BEGIN + length, recover=HEAD_RECOVER + wait, result=RESULT,
        release=BEGIN + issues[0].release, load_to_check=FETCH_AT_RESET + records[0])
    return Schedule(engine=engine, layers=tuple(rows), timing=timing)


def _wait(room: int, record: int, late: bool) -> int:
    """Cycles that a fetch takes longer than the ``room`` from begin to the next check."""
    return record + LATE_FETCH if late else max(0, record + FETCH - room)
