"""Makes the demo model again from nothing but synthesised sound: ``python demo/train_model.py``.

Clips are synthesised (a few minutes) as log-mel spectrograms, 1 GB of memory, and a small Audio
Spectrogram Transformer is trained on random mixes of them. Seeds and steps are fixed.
"""

import argparse
import logging
from pathlib import Path

import torch
from training.bank import make_bank
from training.network import Schedule, save, train
from training.scenes import SceneMaker

BANK_SIZES = {"speech": 1000, "music": 1000, "noise": 250, "sine": 125, "beep": 125, "other": 500}


def main() -> None:
    """Synthesise, train, save."""
    parser = argparse.ArgumentParser(description="Train the demo model.")
    add = parser.add_argument
    add("--output", type=Path, default=Path(__file__).parent / "model", help="where the model goes")
    add("--processes", type=int, default=2, help="for the synthesis")
    add("--threads", type=int, default=1, help="of the training; another number rounds otherwise")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    bank = make_bank(BANK_SIZES, options.processes)
    logging.info("bank of %d clips", sum(BANK_SIZES.values()))
    network, _ = train(SceneMaker(bank, seed=0), Schedule())
    save(network, options.output)
    logging.info("%s", options.output)


if __name__ == "__main__":
    main()
