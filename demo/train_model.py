"""Makes the demo model again from nothing but synthesised sound: ``python demo/train_model.py``.

Clips are synthesised (a few minutes), stored as log-mel spectrograms in a working folder, and a
small Audio Spectrogram Transformer is trained on random mixes of them. Seeds and steps are fixed.
"""

import argparse
import logging
import tempfile
from pathlib import Path

import torch
from training.bank import SYNTHESISERS, make_bank
from training.network import Schedule, save, train
from training.scenes import SceneMaker

BANK = Path(tempfile.gettempdir()) / "demo-model-bank"
BANK_SIZES = dict.fromkeys(SYNTHESISERS, 125) | dict.fromkeys(("speech", "music"), 1000)


def main() -> None:
    """Synthesise, train, save."""
    parser = argparse.ArgumentParser(description="Train the demo model.")
    add = parser.add_argument
    add("--output", type=Path, default=Path(__file__).parent / "model", help="where the model goes")
    add("--bank", type=Path, default=BANK, help="working folder, 1 GB")
    add("--processes", type=int, default=2, help="for the synthesis")
    add("--threads", type=int, default=1, help="of the training; another number rounds otherwise")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    bank = make_bank(options.bank, BANK_SIZES, options.processes)
    logging.info("bank of %d clips", sum(BANK_SIZES.values()))
    network, _ = train(SceneMaker(bank, seed=0), Schedule())
    save(network, options.output)
    logging.info("%s", options.output)


if __name__ == "__main__":
    main()
