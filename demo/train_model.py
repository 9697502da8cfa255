"""Makes the demo model again from nothing but synthesised sound: ``python demo/train_model.py``.

Clips are synthesised (a few minutes), stored as log-mel spectrograms in a working folder, and a
small Audio Spectrogram Transformer is trained on random mixes of them. Seeds and steps are fixed.
"""

import argparse
import logging
import tempfile
import time
from pathlib import Path

import torch
from training.bank import SYNTHESISERS, make_bank
from training.scenes import SceneMaker
from training.train import Schedule, save, train

logger = logging.getLogger("train_model")

MODEL = Path(__file__).parent / "model"
BANK = Path(tempfile.gettempdir()) / "demo-model-bank"
BANK_SIZES = dict.fromkeys(SYNTHESISERS, 125) | dict.fromkeys(("speech", "music"), 1000)


def main() -> None:
    """Synthesises, trains, saves."""
    parser = argparse.ArgumentParser(description="Train the demo model.")
    parser.add_argument("--output", type=Path, default=MODEL, help="where the model goes")
    parser.add_argument("--bank", type=Path, default=BANK, help="working folder, 1 GB")
    parser.add_argument("--processes", type=int, default=2, help="for the synthesis")
    parser.add_argument(
        "--threads", type=int, default=1, help="of the training; another number rounds otherwise"
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    torch.set_num_threads(options.threads)

    started = time.monotonic()
    bank = make_bank(options.bank, BANK_SIZES, options.processes)
    logger.info("bank of %d clips after %.0f s", sum(BANK_SIZES.values()), elapsed(started))
    network, _ = train(SceneMaker(bank, seed=0), Schedule())
    save(network, options.output)
    logger.info("%s after %.0f s in all", options.output, elapsed(started))


def elapsed(started: float) -> float:
    """Seconds since a reading of the monotonic clock."""
    return time.monotonic() - started


if __name__ == "__main__":
    main()
