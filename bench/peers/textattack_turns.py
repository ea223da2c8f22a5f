"""TextAttack as a peer: runs in a virtual environment of its own and knows nothing of Sixfold.

Attacks slices of the examples as it is told over standard input, so that two peers can take turns on one machine. With
``--mended`` texts are padded to the longest of a batch and not to the model's limit, and batches are larger; nothing
else changes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time

LEXNAMES = (
    "adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute noun.body noun.cognition "
    "noun.communication noun.event noun.feeling noun.food noun.group noun.location noun.motive noun.object noun.person "
    "noun.phenomenon noun.plant noun.possession noun.process noun.quantity noun.relation noun.shape noun.state "
    "noun.substance noun.time verb.body verb.change verb.cognition verb.communication verb.competition "
    "verb.consumption verb.contact verb.creation verb.emotion verb.motion verb.perception verb.possession verb.social "
    "verb.stative verb.weather adj.ppl"
)
"""WordNet's lexicographer files in their order (its manual page lexnames(5WN)); no synonym hangs on them."""


def stub(folder: str, words: list[str], wordnet: str | None) -> None:
    """What the package reads and can only be downloaded: NLTK's list of stop words, and WordNet for PWWS.

    Lists of irregular forms are left empty: a synonym of "bought" is then not found through "buy".
    """
    place = os.path.join(folder, "corpora", "stopwords")
    os.makedirs(place, exist_ok=True)
    with open(os.path.join(place, "english"), "w", encoding="utf-8") as file:
        file.write("\n".join(words) + "\n")
    if wordnet is not None:
        place = os.path.join(folder, "corpora", "wordnet")
        shutil.copytree(wordnet, place, dirs_exist_ok=True)
        for name in ("adj.exc", "adv.exc", "noun.exc", "verb.exc"):
            open(os.path.join(place, name), "w").close()
        with open(os.path.join(place, "lexnames"), "w", encoding="utf-8") as file:
            file.writelines(f"{number:02}\t{name}\t0\n" for number, name in enumerate(LEXNAMES.split()))
        os.makedirs(os.path.join(folder, "corpora", "omw-1.4"), exist_ok=True)
    os.environ["NLTK_DATA"] = folder


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("checkpoint", "examples", "attack", "words", "folder"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--limit", type=int, required=True, help="the model's longest text, in tokens")
    parser.add_argument("--wordnet", help="folder of WordNet's files")
    parser.add_argument("--mended", action="store_true")
    parser.add_argument("--seed", type=int, default=13)
    args = parser.parse_args()
    with open(args.words, encoding="utf-8") as file:
        stub(args.folder, json.load(file), args.wordnet)
    os.environ["TA_CACHE_DIR"] = args.folder

    import textattack
    import torch
    from nltk.corpus.reader.wordnet import WordNetCorpusReader
    from textattack import AttackArgs, Attacker, attack_recipes
    from textattack.attack_results import SkippedAttackResult, SuccessfulAttackResult
    from textattack.models.wrappers import HuggingFaceModelWrapper
    from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

    # Only words of other languages need the numbers of WordNet 3.0, and the files that tell them are not there.
    WordNetCorpusReader.map_wn = lambda self, version="wordnet": None

    class Mended(HuggingFaceModelWrapper):
        def __call__(self, texts):
            inputs = self.tokenizer(
                texts, padding=True, truncation=True, max_length=self.tokenizer.model_max_length, return_tensors="pt"
            )
            with torch.inference_mode():
                return self.model(**inputs).logits

    model = AutoModelForSequenceClassification.from_pretrained(args.checkpoint).eval()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=os.path.join(args.checkpoint, "tokenizer.json"),
        model_max_length=args.limit,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    wrapper = (Mended if args.mended else HuggingFaceModelWrapper)(model, tokenizer)
    recipe = getattr(attack_recipes, args.attack).build(wrapper)
    if args.mended:
        recipe.goal_function.batch_size = 256
    with open(args.examples, encoding="utf-8") as file:
        examples = [(text, label) for text, label in json.load(file)]
    print(json.dumps({"ready": len(examples)}), flush=True)
    textattack.shared.utils.set_seed(args.seed)
    for line in sys.stdin:
        start, end = (int(word) for word in line.split()[1:])
        begun = time.perf_counter()
        options = AttackArgs(num_examples=end - start, disable_stdout=True, silent=True, random_seed=args.seed)
        attacker = Attacker(recipe, textattack.datasets.Dataset(examples[start:end]), options)
        results = attacker.attack_dataset()
        seconds = time.perf_counter() - begun
        kinds = [
            "skipped"
            if isinstance(one, SkippedAttackResult)
            else "succeeded"
            if isinstance(one, SuccessfulAttackResult)
            else "failed"
            for one in results
        ]
        found = {"kinds": kinds, "queries": [int(one.num_queries) for one in results]}
        print(json.dumps({"slice": [start, end], "seconds": seconds, **found}), flush=True)


if __name__ == "__main__":
    main()
