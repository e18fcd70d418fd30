"""``python -m sw.export``: a trained checkpoint becomes a lowered graph, measured on the whole test set."""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm  # type: ignore[import-untyped]

from sw import ir
from sw.command import Parser, run_command
from sw.errors import CompileError
from sw.files import write_atomic
from sw.frontend.torch_import import import_module
from sw.network_folder import write_network
from sw.nn import ScoreHead
from sw.nn.fixed import FixedPoint, fixed_point, set_fixed
from sw.passes import lower
from sw.quantise import CALIBRATION_IMAGES, FREE_WORD_BITS, WORD_BITS, calibrate, needs_format
from sw.reference import run
from sw.train import checkpoint, data
from sw.train.compact import half_weights
from sw.train.recipes import Recipe

__all__ = ["Comparison", "compare", "export", "main"]

# Of float64 maps that stay in the cache.
_BATCH = 50


@dataclass(frozen=True)
class Comparison:
    """A PyTorch model in eval mode against its integer graph, on the same ``images``.

    ``float_right`` counts right classes of the model in float32, ``integer_right`` those of the graph, and
    ``classes_differ`` images with different classes. ``scores_differ`` counts single scores in which PyTorch and the
    graph are not the same integer. A chain's scores are those of float32; both counts are 0 unless it rounds a batch
    norm across a sign. A model with words is compared in integer mode, where ``scores_differ`` is 0, always, while
    classes may differ where words are coarser than float32.
    """

    images: int
    float_right: int
    integer_right: int
    classes_differ: int
    scores_differ: int

    def metadata(self) -> dict[str, Any]:
        """For a graph's metadata: accuracies as fractions of ``images``, and the disagreements."""
        return {
            "accuracy": {"float": self.float_right / self.images, "integer": self.integer_right / self.images,
                         "images": self.images},
            "disagreements": {"classes": self.classes_differ, "scores": self.scores_differ},
        }


def compare(model: nn.Module, graph: ir.Graph, images: torch.Tensor, labels: torch.Tensor,
            progress: bool = False) -> Comparison:
    """Run both on images ``uint8 (N, C, H, W)`` with labels ``(N,)``; a model with words is in integer mode."""
    counts = np.zeros(4, np.int64)
    batches = list(zip(images.split(_BATCH), labels.split(_BATCH)))
    for batch, expected in tqdm(batches, desc="test images", unit="batch", leave=False, disable=not progress):
        logits, scores = _outputs(model, batch)
        result = run(graph, batch.permute(0, 2, 3, 1).numpy())
        classes, right = logits.argmax(1).numpy(), expected.numpy()
        counts += [(classes == right).sum(), (result.classes == right).sum(), (classes != result.classes).sum(),
                   (scores != result.scores).sum()]
    return Comparison(len(images), *counts.tolist())


@torch.no_grad()
def _outputs(model: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, NDArray[np.float64]]:
    """Logits of the model as it was trained, and the integer scores that PyTorch gives, both ``(N, classes)``."""
    fixed = fixed_point(model)
    if fixed is None:
        logits = model.eval()(images)
        head = list(model.modules())[-1]
        assert isinstance(head, ScoreHead)  # or the import would have refused it
        return logits, logits.double().numpy() / head.scale
    scores = model(images).numpy()
    set_fixed(model, None)
    logits = model(images)
    set_fixed(model, fixed)
    return logits, scores


def export(path: Path | str, folder: Path | str, *, data_name: str | None = None, data_dir: Path | None = None,
           word_bits: int | None = None, widths: Sequence[int] = (), compact: bool = False, dump: Path | None = None,
           progress: bool = False) -> tuple[ir.Graph, Comparison]:
    """Write the graph of checkpoint ``path`` and the first test images to ``folder``, whose name it gets.

    The data set is the one that the checkpoint was trained on unless ``data_name`` says another; where the names of
    its classes are known, they are the ``labels`` of the graph's metadata. Where the model has real values between
    its layers, they become words of ``word_bits`` bits, calibrated on training images; unless told, in the format that
    the network was fine-tuned in, else of ``sw.quantise.default_bits``. ``widths`` of words are tried beside it, and
    what each would give stands in the metadata: ``accuracy_by_word_bits``, in the order given. ``compact`` writes
    ``checkpoint.safetensors`` too, with ``sw.train.compact.half_weights``, and all else is of that. ``dump`` is a
    folder for the graph between the passes. Raises ``CompileError`` and ``OSError``; then ``folder`` is as it was.
    """
    folder = Path(folder)
    model, trained = checkpoint.load(path)
    content = Path(path).read_bytes()
    if compact:
        model.load_state_dict(half_weights(model), strict=False)
    data_name = data_name or trained.data
    image_size = trained.image_size if data_name == "folder" else None
    dataset = data.load(data_name, data_dir, image_size)
    _, channels, height, width = dataset.test_images.shape
    known: dict[str, Any] = {"image_size": list(image_size)} if image_size else {}
    if needs_format(model):
        images = dataset.train_images[:CALIBRATION_IMAGES]
        if widths:
            known["accuracy_by_word_bits"] = [
                _at_width(model, trained.recipe, bits, images, dataset, progress) for bits in widths]
        known["fixed_point"] = asdict(_calibrated(model, trained.recipe, word_bits, images))
    elif widths:
        raise CompileError(f"{path}: the network has no words between its layers; leave out --widths")
    graph = lower(import_module(model, (height, width, channels), folder.resolve().name), dump)
    comparison = compare(model, graph, dataset.test_images, dataset.test_labels, progress)
    if compact:
        measured = comparison.float_right / comparison.images if data_name == trained.data else None
        content = checkpoint.to_bytes(model, replace(trained, test_accuracy=measured), compact=True)
    classes = graph.shape(graph.nodes[-1].name)[2]
    if len(dataset.class_names) >= classes:  # a name for each score, or hw.host could not tell them all
        known["labels"] = list(dataset.class_names[:classes])
    graph = graph.replace(metadata={
        **comparison.metadata(), "data": data_name, "seed": trained.seed, "epochs_done": trained.epochs_done,
        "recipe": asdict(trained.recipe), "versions": dict(trained.versions),
        "checkpoint_sha256": hashlib.sha256(content).hexdigest(), **known,
    })
    if compact:
        write_atomic(folder / "checkpoint.safetensors", content)
    write_network(graph, folder, dataset)
    return graph, comparison


def _calibrated(model: nn.Module, recipe: Recipe, bits: int | None, images: torch.Tensor) -> FixedPoint:
    """Put a model into integer mode: with words of ``bits`` bits, or those of its recipe if it was fine-tuned."""
    if recipe.word_bits and bits in (None, recipe.word_bits):
        return calibrate(model, images, recipe.word_bits, recipe.word_fraction)
    return calibrate(model, images, bits)


def _at_width(model: nn.Module, recipe: Recipe, bits: int, images: torch.Tensor, dataset: data.Dataset,
              progress: bool) -> dict[str, Any]:
    """The format of words of ``bits`` bits, and the fraction of all test images that they get right."""
    fixed = _calibrated(model, recipe, bits, images)
    batches = list(zip(dataset.test_images.split(_BATCH), dataset.test_labels.split(_BATCH)))
    with torch.no_grad():
        right = sum(int((model(batch).argmax(1) == expected).sum()) for batch, expected in tqdm(
            batches, desc=f"words of {bits} bits", unit="batch", leave=False, disable=not progress))
    return {**asdict(fixed), "accuracy": right / len(dataset.test_images)}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 2 for input that it cannot use, 130 when interrupted."""
    return run_command("sw.export", lambda: _main(arguments), "the folder may lack files, so run it again")


def _main(arguments: list[str] | None) -> int:
    parser = Parser(
        prog="python -m sw.export",
        description="Turn a checkpoint into a graph for hw.build, and compare both on the whole test set.")
    parser.add_argument("--checkpoint", metavar="FILE", type=Path, required=True, help="*.safetensors of sw.train")
    parser.add_argument("--out", metavar="FOLDER", type=Path, required=True,
                        help="for graph.json, graph.npz and sample.npz; its name becomes the network's")
    parser.add_argument("--data", metavar="NAME", choices=list(data.SOURCES), help="the data set (the checkpoint's)")
    parser.add_argument("--data-dir", metavar="PATH", type=Path, help="where it is, as for sw.train")
    parser.add_argument("--word-bits", metavar="N", type=int,
                        help=f"width of real values between layers, where there are any ({WORD_BITS} where they are "
                             f"stored, {FREE_WORD_BITS} where they only become bits)")
    parser.add_argument("--widths", metavar="N,...", type=_widths, default=(),
                        help="try words of these widths too, and show what each would give")
    parser.add_argument("--compact", action="store_true",
                        help="write checkpoint.safetensors there too, latent weights as 16-bit floats that give the "
                             "same binary weights, and export that; it cannot be trained further")
    parser.add_argument("--dump-passes", metavar="FOLDER", type=Path, help="save the graph between all passes there")
    given = parser.parse_args(arguments)
    graph, found = export(given.checkpoint, given.out, data_name=given.data, data_dir=given.data_dir,
                          word_bits=given.word_bits, widths=given.widths, compact=given.compact, dump=given.dump_passes,
                          progress=sys.stderr.isatty())
    accuracy = graph.metadata["accuracy"]
    print(f"{graph.name}: PyTorch {accuracy['float']:.2%}, integers {accuracy['integer']:.2%} of {found.images} test "
          f"images of {graph.metadata['data']}")
    print(f"they differ in {found.classes_differ} classes; PyTorch's and the graph's integer scores in "
          f"{found.scores_differ}")
    for each in graph.metadata.get("accuracy_by_word_bits", []):
        shift = "shifts of each layer" if each["shift"] is None else f"shift {each['shift']}"
        print(f"words of {each['bits']} bits: PyTorch {accuracy['float']:.2%}, integers {each['accuracy']:.2%}, "
              f"fraction {each['fraction']}, {shift}")
    print(f"wrote {given.out}")
    return 0


def _widths(text: str) -> tuple[int, ...]:
    return tuple(int(width) for width in text.split(","))


_widths.__name__ = "list of widths"  # as argparse names it in messages


if __name__ == "__main__":
    sys.exit(main())
