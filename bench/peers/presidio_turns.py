"""presidio-analyzer as a peer, in a virtual environment of its own: finds personal data in slices of texts, in turns.

Without a spaCy model only its pattern recognisers run, on a blank pipeline; which of both ran is told.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from typing import Any

from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
from presidio_analyzer.nlp_engine import NlpArtifacts, NlpEngine, SpacyNlpEngine


def engine(model: str) -> AnalyzerEngine:
    """With names, if a spaCy model is named; without, patterns alone."""
    if model:
        nlp: NlpEngine = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": model}])
        return AnalyzerEngine(nlp_engine=nlp)
    import spacy

    blank = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": "blank"}])
    blank.nlp = {"en": spacy.blank("en")}
    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"])
    for name in [one.name for one in registry.recognizers if "spacy" in one.name.lower()]:
        registry.remove_recognizer(name)
    return AnalyzerEngine(nlp_engine=blank, registry=registry)


def patterns_alone(analyzer: AnalyzerEngine, texts: list[str]) -> list[list[list[Any]]]:
    """Its pattern recognisers on each text, without tokens: nothing but patterns costs time."""
    empty = NlpArtifacts([], [], [], [], analyzer.nlp_engine, "en")
    recognizers = [one for one in analyzer.registry.recognizers if "spacy" not in one.name.lower()]
    out = []
    for text in texts:
        found = [
            result
            for one in recognizers
            for result in one.analyze(text=text, entities=one.supported_entities, nlp_artifacts=empty) or []
        ]
        out.append([[one.entity_type, one.start, one.end, one.score] for one in found])
    return out


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--texts", required=True)
    parser.add_argument("--model", default="")
    parser.add_argument("--patterns-alone", action="store_true")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    with open(args.texts, encoding="utf-8") as file:
        texts = json.load(file)
    analyzer = engine(args.model)
    analyzer.analyze(texts[0], language="en")
    print(json.dumps({"ready": len(texts)}), flush=True)
    for line in sys.stdin:
        start, end = (int(word) for word in line.split()[1:])
        begun = time.perf_counter()
        if args.patterns_alone:
            found = patterns_alone(analyzer, texts[start:end])
        else:
            answers = [analyzer.analyze(text, language="en") for text in texts[start:end]]
            found = [[[one.entity_type, one.start, one.end, one.score] for one in some] for some in answers]
        seconds = time.perf_counter() - begun
        print(json.dumps({"slice": [start, end], "seconds": seconds, "found": found}), flush=True)


if __name__ == "__main__":
    main()
