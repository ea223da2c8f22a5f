"""Attacks on English texts, each as its paper has it; where one differs, its docstring says how and why."""

from __future__ import annotations

from sixfold.attack import importance
from sixfold.attack.beam import both, of_rewrites, of_words
from sixfold.attack.building import GRAMMAR, MEANING, Attack, Tools, at_least, by_beam, by_importance, by_saliency
from sixfold.attack.changes import CandidateRule, Changes, Exchange, every, one_of_each, several
from sixfold.attack.masked_words import MaskedWords, fitting, fitting_now
from sixfold.attack.similarity import Likeness
from sixfold.perturb import characters, registry
from sixfold.perturb.constraints import same_part_of_speech
from sixfold.perturb.lexical import parts_of_speech
from sixfold.perturb.masked import contextual
from sixfold.text.lexicon import homoglyphs, inflections, wordnet


def deepwordbug(tools: Tools) -> Attack:
    """DeepWordBug (Gao et al. 2018, arXiv:1801.04354), as TextAttack 0.3.11's recipe ``DeepWordBugGao2018``.

    One swap, substitution, deletion and insertion is drawn for each word; words are ranked by an unknown word in their
    place; at most 30 characters change. Unlike the recipe: letters that come in are small (its are small or capital),
    may come behind the last one, and replace letters only (not digits); and "The" is a word of grammar as "the" is.
    Unlike the paper: its scores of words read a text from the left and from the right, for recurrent models.
    """
    changes = Changes(one_of_each(characters.deepwordbug().parts), (GRAMMAR, at_least(2)), most_distance=30)
    return by_importance("deepwordbug", changes, importance.UNKNOWN)


def pruthi(tools: Tools) -> Attack:
    """Misspellings within one word (Pruthi et al. 2019, arXiv:1905.11268), as TextAttack's ``Pruthi2019``.

    Every swap, deletion and keyboard slip within every word of four letters or more is tried, and one drawn letter
    that comes in; the first and the last letter stay. Words of grammar stay as in the recipe; in the paper they do not.
    """
    swap, delete, keyboard, insert = characters.pruthi().parts
    offer = several(every(swap), every(delete), every(keyboard), one_of_each((insert,)))
    changes = Changes(offer, (GRAMMAR, at_least(4)))
    return by_beam("pruthi", of_words(changes), width=1, most=1)


def textbugger(tools: Tools) -> Attack:
    """TextBugger (Li et al. 2019, arXiv:1812.05271): a blank, a deletion, a swap, a look-alike, near words.

    One of each kind of misspelling is drawn for each word, and five near words are added, by other vectors than the
    paper's. The bound is the paper's, a cosine of 0.8 to the text, but the sentence encoder is another. The paper ranks
    sentences before words, which saves queries on long texts; here words are ranked at once.
    """
    bugs = one_of_each(characters.textbugger(homoglyphs.load()).parts)
    changes = Changes(
        several(bugs, every(registry.transformation("neighbour"), 5)),
        (GRAMMAR, at_least(2)),
        likeness=Likeness(tools.similarity(), 0.8),
    )
    return by_importance("textbugger", changes, importance.DELETION)


def pwws(tools: Tools) -> Attack:
    """Probability weighted word saliency (PWWS, Ren et al. 2019, P19-1103): WordNet synonyms.

    Synonyms are put into the form of the word (``bought`` to ``purchased``); the paper and TextAttack take them as
    WordNet spells them. Named entities are not exchanged: the paper takes those from training data. What differs in the
    search is told in ``greedy.saliency``.
    """
    return by_saliency("pwws", Changes(every(registry.transformation("synonym")), (GRAMMAR,)))


def textfooler(tools: Tools) -> Attack:
    """TextFooler (Jin et al. 2020, arXiv:1907.11932) with what is at hand offline, hence its name.

    Unlike the paper: near words come from an encoder's vectors (``perturb.neighbours``), parts of speech from a list
    and not from a tagger (a verb may not become a noun), sentences are compared by another encoder, always with the
    original, and a text shorter than the window is compared too, where the paper lets anything pass. The bound on the
    angle is the paper's (0.841 once its missing division by pi is made good). Its rates are no rates of TextFooler.
    """
    likeness = Likeness(tools.similarity(), 0.841, "angular", window=15)
    changes = near_words(50).changes(likeness=likeness)
    return by_importance("textfooler-offline", changes, importance.DELETION)


def a2t(tools: Tools) -> Attack:
    """A2T (Yoo and Qi 2021, arXiv:2109.00544), made for adversarial training: cheap, but it needs the model's weights.

    Words are ranked by one gradient instead of a query each; 20 near words of the same part of speech; at most 10 % of
    the words change. Unlike the paper: near words come from an encoder's vectors, and the bound of 0.9 on the cosine to
    the original is by another encoder.
    """
    likeness = Likeness(tools.similarity(), 0.9)
    changes = near_words(20).changes(most_share=0.1, likeness=likeness)
    return by_importance("a2t-offline", changes, importance.GRADIENT)


def bert_attack(tools: Tools) -> Attack:
    """BERT-Attack (Li et al. 2020, arXiv:2004.09984) with the masked language model that the user names.

    The model reads the text as it is, once; a word of several pieces becomes the exact 48 best combinations that are
    words. (TextAttack 0.3.11 takes 8, and of several pieces not the best ones.) Words are ranked by a mask in their
    place; at most 40 % change; the cosine to the original is at least 0.2, by another encoder. Unlike the paper no list
    of antonyms is looked up; words that negate are not let in.
    """
    model = MaskedWords.load(tools.words)
    words = contextual("bert-attack", model.tokenizer, model.around, model.limit)
    likeness = Likeness(tools.similarity(), 0.2)
    changes = Changes(fitting(model, words), (GRAMMAR,), (MEANING,), most_share=0.4, likeness=likeness)
    return by_importance("bert-attack", changes, importance.MASK)


def bae(tools: Tools) -> Attack:
    """BAE-R (Garg and Ramakrishnan 2020, arXiv:2004.01970) with the masked language model that the user names.

    The word is hidden, and becomes one of the 50 likeliest words of the same part of speech, by a list; words are
    ranked by deletion. The cosine to the original within 15 words is at least 0.936 (the paper's 0.8 once its missing
    division by pi is made good), by another encoder, and short texts are compared too. Insertions (BAE-I) are left out.
    """
    model = MaskedWords.load(tools.words)
    words = contextual("bae-replace", model.tokenizer, model.around, model.limit)
    likeness = Likeness(tools.similarity(), 0.936, window=15)
    changes = Changes(fitting_now(model, words), (GRAMMAR,), (_same_part(), MEANING), likeness=likeness)
    return by_importance("bae", changes, importance.DELETION)


def beam_of_synonyms(tools: Tools) -> Attack:
    """Beam search of width 8 over WordNet synonyms (Yoo et al. 2020, arXiv:2009.06368): finds more, and asks more."""
    changes = Changes(every(registry.transformation("synonym")), (GRAMMAR,), (MEANING,))
    return by_beam("beam-synonyms", of_words(changes), width=8)


def checklist(tools: Tools) -> Attack:
    """CheckList's invariance tests as an attack (Ribeiro et al. 2020, arXiv:2005.04118): what should change nothing.

    Contractions, people's first names and surnames, cities and countries, numbers; as TextAttack's ``CheckList2020``,
    but a name is exchanged wherever it stands in the text, for one of its kind (a woman's for a woman's).
    """
    rewrites = [registry.rewrite(name) for name in ("contraction", "person-name", "place-name")]
    numbers = Changes(every(registry.transformation("number")))
    moves = both(of_rewrites(rewrites), of_words(numbers))
    return by_beam("checklist", moves, width=1)


def near_words(most: int) -> Exchange:
    """Near words in the space of an encoder, of the same part of speech and without opposites."""
    return Exchange(registry.transformation("neighbour"), most, (GRAMMAR,), (_same_part(), MEANING))


def _same_part() -> CandidateRule:
    """The same part of speech, by the word lists."""
    known = parts_of_speech(wordnet.load(), inflections.load())
    return CandidateRule("same part of speech", lambda word, found: same_part_of_speech(word, found, known))
