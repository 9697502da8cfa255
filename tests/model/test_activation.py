"""Which activation belongs to a checkpoint's logits."""

from typing import Any

import numpy as np
import pytest
from transformers import ASTConfig, Wav2Vec2Config

from tasks.model.activation import activation_of, probabilities

AST: Any = ASTConfig
WAV2VEC2: Any = Wav2Vec2Config


@pytest.mark.parametrize(
    ("config", "activation", "said"),
    [
        (AST(num_labels=527), "sigmoid", "AudioSet"),
        (AST(num_labels=35), "softmax", "does not say"),
        (AST(num_labels=35, problem_type="multi_label_classification"), "sigmoid", "multi"),
        (AST(num_labels=527, problem_type="single_label_classification"), "softmax", "sing"),
        (WAV2VEC2(num_labels=4), "softmax", "does not say"),
        (WAV2VEC2(num_labels=1), "sigmoid", "one label"),
        (WAV2VEC2(num_labels=4, problem_type="regression"), "softmax", "does not say"),
    ],
)
def test_it_is_read_from_the_configuration(config: object, activation: str, said: str) -> None:
    found = activation_of(config)
    assert found.activation == activation
    assert said in found.reason


def test_huge_logits_neither_warn_nor_overflow() -> None:
    logits = np.array([[6e4, -6e4, 0]], np.float16)
    assert probabilities(logits, "sigmoid").tolist() == [[1, 0, 0.5]]
    assert probabilities(logits, "softmax").tolist() == [[1, 0, 0]]
