"""The loss of training: labels, a teacher, and what the binarizers themselves ask for."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sw.errors import CompileError
from sw.train.recipes import Recipe

__all__ = ["Loss"]


class Loss:
    """Loss of a batch for a recipe.

    ``(1 - d) H(labels, student) + d T^2 H(softmax(teacher / T), softmax(student / T))``, with ``d`` the recipe's
    ``distillation``, ``T`` its ``temperature`` and ``H`` the cross-entropy, plus the ``penalty()`` of each module in
    the model that has one, except those of layers whose weights are real for the time being. With d = 1 and T = 1
    labels are not used, as in Liu et al., "ReActNet" (ECCV 2020); T is from Hinton et al., "Distilling the Knowledge
    in a Neural Network" (2015).

    The teacher is put into eval mode. Raises ``CompileError`` if the recipe distils and there is none.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, teacher: nn.Module | None = None):
        if recipe.distillation and teacher is None:
            raise CompileError(f"distillation {recipe.distillation:g} needs a teacher")
        self.model = model
        self.recipe = recipe
        self.teacher = teacher.eval() if teacher is not None and recipe.distillation else None

    def __call__(self, images: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of ``logits`` ``(N, classes)`` for augmented ``images`` with ``labels`` ``(N,)``."""
        recipe = self.recipe
        loss = logits.new_zeros(())
        if recipe.distillation < 1:
            loss = functional.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
        if self.teacher is not None:
            with torch.no_grad(), torch.autocast(images.device.type, torch.bfloat16, enabled=recipe.bfloat16):
                target = (self.teacher(images).float() / recipe.temperature).softmax(1)
            soft = functional.cross_entropy(logits / recipe.temperature, target) * recipe.temperature ** 2
            loss = (1 - recipe.distillation) * loss + recipe.distillation * soft
        return loss + self._penalty(loss)

    def _penalty(self, like: Tensor) -> Tensor:
        total = like.new_zeros(())
        for layer in self.model.modules():
            # A scale that takes no part in the output would only be driven to zero by its penalty.
            if getattr(layer, "real_weights", False):
                continue
            for module in layer.children():
                penalty = getattr(module, "penalty", None)
                value = penalty() if callable(penalty) else None
                total = total if value is None else total + value
        return total
