"""Generator of training and evaluation samples.

A sample is a text plus *marks*: spans of characters with a training weight.
Characters outside every mark get the small ``BASE`` weight, so the model learns
the language of the documents but spends its effort on the answers.

Everything is a function of a ``random.Random``, hence of a seed.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

import chatter
from world import CLOSING, FILLER, GROUP_WEIGHTS, GROUPS, OPENING, Lists, Relation

BEGIN, END, PAD = "<|begin|>", "<|end|>", "<|pad|>"
SYSTEM, USER, ASSISTANT = "<|system|>", "<|user|>", "<|assistant|>"
SPECIALS = [PAD, BEGIN, END, SYSTEM, USER, ASSISTANT]

BASE = 0.06
ANSWER = 1.0
VALUE = 1.6


@dataclass
class Fact:
    """One fact of a document."""

    relation: Relation
    entity: str
    value: str
    noun: str = ""
    sentence: str = ""
    told: str = ""  # the bare statement, as filled in from its template


@dataclass
class Turn:
    """A question, its answer and where in the answer the value stands."""

    ask: str
    answer: str
    value: str = ""
    answerable: bool = True


@dataclass
class Sample:
    """A text and its weighted spans; prompt and answer are kept for evaluation."""

    text: str = ""
    marks: list[tuple[int, int, float]] = field(default_factory=list)

    def add(self, piece: str, weight: float = BASE) -> None:
        """Append text with a weight."""
        if weight != BASE:
            self.marks.append((len(self.text), len(self.text) + len(piece), weight))
        self.text += piece

    def add_answer(self, turn: Turn, space: str) -> None:
        """Append an answer, its value marked more heavily."""
        text, at = space + turn.answer, -1
        if turn.value:
            at = text.find(turn.value)
        if at > 0:
            self.add(text[:at], ANSWER)
            self.add(text[at:at + len(turn.value)], VALUE)
            self.add(text[at + len(turn.value):], ANSWER)
        else:
            self.add(text, ANSWER)


def sentence(text: str) -> str:
    """Capital letter, 'an' before vowels, full stop."""
    text = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".?!" else text + "."


def fill(template: str, fact: Fact) -> str:
    """Put entity, value and noun into a template."""
    return template.replace("{e}", fact.entity).replace("{v}", fact.value).replace("{n}", fact.noun)


class World:
    """Makes documents, questions and samples."""

    def __init__(self, seed: int, heldout: bool = False):
        self.rng = random.Random(seed)
        self.lists = Lists(self.rng, heldout)
        self.skip: set[str] = set()  # keys of relations that are not used
        self.invented = [0.15, 0.4, 0.4, 0.8]  # shares of invented names, one drawn per sample

    # ---- documents -------------------------------------------------------

    def facts(self, count: int, per_entity: float) -> list[Fact]:
        """Draw facts; an entity gets about per_entity of them."""
        rng, lists = self.rng, self.lists
        names, weights = list(GROUP_WEIGHTS), list(GROUP_WEIGHTS.values())
        if rng.random() < 0.35:  # a document about few kinds of things
            keep = rng.sample(range(len(names)), rng.randint(1, 3))
            names, weights = [names[i] for i in keep], [weights[i] for i in keep]
        used: set[str] = set()
        people: list[str] = []
        out: list[Fact] = []
        tries = 0
        while len(out) < count and tries < 200:
            group = rng.choices(names, weights)[0]
            if group == "person" and people and rng.random() < 0.4:
                entity = rng.choice(people)  # somebody who is already in the document
            else:
                entity = getattr(lists, group)()
            words = entity.split()
            clash = entity in used or (group != "day" and any(w in used for w in words if w not in ("the", "The") and w[0].isupper() and group in ("person", "dog", "boat", "town")))
            if clash:
                tries += 1
                continue
            used.add(entity)
            if group in ("person", "dog", "boat", "town"):
                used.update(w for w in words if w[0].isupper())
            relations = GROUPS[group]
            k = min(count - len(out), max(1, round(rng.expovariate(1 / per_entity))))
            nouns: set[str] = set()
            for _ in range(k):
                relation = rng.choice(relations)
                if relation.key in self.skip:
                    tries += 1
                    continue
                if relation.noun is None and any(f.relation is relation and f.entity == entity for f in out):
                    continue
                fact = Fact(relation, entity, getattr(lists, relation.value)())
                if fact.value == entity:
                    continue
                if relation.noun is not None:
                    fact.noun = relation.noun(lists)
                    if fact.noun in nouns:
                        continue
                    nouns.add(fact.noun)
                if relation.value == "person":
                    if any(w in used for w in fact.value.split()):
                        continue
                    if rng.random() < 0.5:
                        people.append(fact.value)
                    else:
                        used.update(fact.value.split())
                fact.told = fill(relation.tells[0] if rng.random() < 0.4 else rng.choice(relation.tells), fact)
                last = out[-1] if out else None
                start = entity + " "
                if last and last.entity == entity and fact.told.startswith(start) and last.told.startswith(start) and rng.random() < 0.3:
                    # two statements about the same entity in one sentence
                    last.sentence = fact.sentence = sentence(f"{last.told} and {fact.told[len(start):]}")
                    last.told = fact.told = ""
                else:
                    fact.sentence = sentence(self.dress(fact.told))
                out.append(fact)
        return out

    def dress(self, told: str) -> str:
        """Now and then put a phrase before or behind a statement."""
        r = self.rng.random()
        if r < 0.05:
            opening = self.rng.choice(OPENING)
            return f"{opening}{'' if opening.endswith('that') or self.rng.random() < 0.5 else ','} {told}"
        if r < 0.10:
            return f"{told}, {self.rng.choice(CLOSING)}"
        return told

    def document(self, facts: list[Fact]) -> str:
        """Lay the facts out as text."""
        rng = self.rng
        facts = list(facts)
        if rng.random() < 0.5:
            rng.shuffle(facts)
        filler = rng.choice([0.0, 0.0, 0.1, 0.3])
        paragraph = rng.choice([0.0, 0.0, 0.1, 0.2, 0.3, 1.0])
        gap = rng.choice(["\n", "\n\n"])
        out = ""
        for fact in facts:
            if fact.sentence in out:
                continue  # a sentence that tells two facts
            for text in ([rng.choice(FILLER)] if rng.random() < filler else []) + [fact.sentence]:
                out += ("" if not out else gap if rng.random() < paragraph else " ") + text
        if rng.random() < 0.06 and len(out) > 200:  # a window may begin in the middle of a sentence
            first = facts[0].sentence
            at = out.find(" ", rng.randrange(5, max(6, len(first) // 2)))
            out = out[at + 1:]
        return out

    # ---- questions -------------------------------------------------------

    def question(self, fact: Fact, document: str) -> Turn | None:
        """A question about a fact, None if it would not be unique."""
        rng, relation = self.rng, fact.relation
        if fact.sentence not in document:
            return None
        if relation.inverse and rng.random() < 0.2:
            if document.count(fact.value) == 1:
                asks, answer = relation.inverse
                return Turn(sentence(fill(rng.choice(asks), fact)), sentence(fill(answer, fact)), fact.entity)
        ask = relation.asks[0] if rng.random() < 0.3 else rng.choice(relation.asks)
        if rng.random() < 0.03:
            ask = rng.choice(["please tell me, ", "tell me, ", "say, ", "according to the text, ", "I would like to know: "]) + ask
        return Turn(sentence(fill(ask, fact)), sentence(fill(relation.answer, fact)), fact.value)

    def missing(self, facts: list[Fact], document: str) -> Turn:
        """A question that the document does not answer."""
        rng = self.rng
        for _ in range(20):
            other = self.facts(1, 1.0)
            if not other:
                continue
            fact = other[0]
            if rng.random() < 0.4:
                same = [f for f in facts if f.relation.group == fact.relation.group]
                if same:
                    fact.entity = rng.choice(same).entity
                    if any(f.relation.value == fact.relation.value and f.entity == fact.entity for f in facts):
                        continue
            elif fact.entity in document:
                continue
            return Turn(sentence(fill(rng.choice(fact.relation.asks), fact)), chatter.NOT_IN_TEXT, answerable=False)
        return Turn("What is the meaning of life?", chatter.NOT_IN_TEXT, answerable=False)

    def about(self, facts: list[Fact], document: str) -> Turn | None:
        """'Tell me about X': every sentence about X, in the order of the text."""
        rng = self.rng
        entity = rng.choice(facts).entity
        mine = [f for f in facts if f.entity == entity]
        if len(mine) > 5 or any(f.sentence not in document for f in mine):
            return None
        mine.sort(key=lambda f: document.find(f.sentence))
        ask = rng.choice(["Tell me about {e}.", "What does the text say about {e}?", "What do you know about {e}?", "Tell me everything about {e}."])
        answer = " ".join(dict.fromkeys(f.sentence for f in mine))
        return Turn(ask.replace("{e}", entity), answer, answer)

    def recite(self, document: str) -> Turn:
        """Copy the text, or its first or last sentence."""
        rng = self.rng
        flat = re.sub(r"\s*\n+\s*", " ", document)
        parts = re.split(r"(?<=[.!?]) ", flat)
        r = rng.random()
        if r < 0.25:
            ask, answer = rng.choice(["What is the first sentence?", "Repeat the first sentence.", "How does the text begin?"]), parts[0]
        elif r < 0.5:
            ask, answer = rng.choice(["What is the last sentence?", "Repeat the last sentence.", "How does the text end?"]), parts[-1]
        else:
            ask, answer = rng.choice(["Repeat the text.", "Read the text to me.", "Repeat the text word for word.", "Say the text again.", "Copy the text."]), flat
        return Turn(ask, answer, answer)

    def turns(self, facts: list[Fact], document: str, most: int) -> list[Turn]:
        """A number of questions on one document, in random order."""
        rng = self.rng
        out: list[Turn] = []
        for fact in rng.sample(facts, min(len(facts), most)):
            r = rng.random()
            turn = None
            if r < 0.09:
                turn = self.missing(facts, document)
            elif r < 0.12:
                turn = self.about(facts, document)
            elif r < 0.135 and len(document) < 900:
                turn = self.recite(document)
            out.append(turn or self.question(fact, document) or self.missing(facts, document))
        return out

    # ---- samples ---------------------------------------------------------

    def completion(self, sample: Sample, document: str, turns: list[Turn]) -> None:
        """Document, then ``Q:`` and ``A:`` lines."""
        rng = self.rng
        if rng.random() < 0.85:
            sample.add(BEGIN)
        sample.add(document)
        if document and rng.random() < 0.1:
            sample.add("\n")
        stop = rng.random() < 0.8
        for i, turn in enumerate(turns):
            sample.add(("\n" if sample.text not in ("", BEGIN) else "") + "Q: " + turn.ask + "\nA:")
            sample.add_answer(turn, " ")
            if stop or i == len(turns) - 1:
                sample.add(END, ANSWER)

    def chat(self, sample: Sample, document: str, turns: list[Turn]) -> None:
        """The same through the chat template."""
        rng = self.rng
        sample.add(BEGIN)
        home = rng.random()  # where the document is put
        system = rng.choice(chatter.SYSTEMS) if rng.random() < 0.35 else ""
        if home < 0.12 and document:
            system = (system + rng.choice(["\n", "\n\n", " "]) if system else "") + document
        if system:
            sample.add(f"{SYSTEM}\n{system}{END}\n")
        given = home < 0.12 or not document
        late = rng.random() < 0.15
        if not given and rng.random() < 0.07:  # the text comes alone, the questions later
            self.say(sample, document, Turn("", chatter.GIVEN))
            given = True
        for i, turn in enumerate(turns):
            if rng.random() < (0.5 if late and i == 0 else 0.06):
                ask, answer = chatter.small_talk(rng)
                if not given or answer not in (chatter.NO_TEXT, chatter.GIVEN):
                    self.say(sample, ask, Turn(ask, answer))
            ask = turn.ask
            r = rng.random()
            if r < 0.05:
                ask = ask.rstrip("?.")
            elif r < 0.12:
                ask = ask[0].lower() + ask[1:]
            if not given:
                r = rng.random()
                if r < 0.40:
                    ask = f"{document}\n\n{ask}"
                elif r < 0.60:
                    ask = f"{document}\n{ask}"
                elif r < 0.70:
                    ask = f"{document} {ask}"
                elif r < 0.78:
                    ask = f"Text: {document}\n\nQuestion: {ask}"
                elif r < 0.86:
                    ask = f"{document}\n\nQuestion: {ask}"
                elif r < 0.93:
                    ask = f"{document}\nQ: {ask}"
                else:
                    ask = f"{ask}\n\n{document}"
                given = True
            self.say(sample, ask, turn)
        if rng.random() < 0.1:
            ask, answer = chatter.small_talk(rng)
            if answer not in (chatter.NO_TEXT, chatter.GIVEN):
                self.say(sample, ask, Turn(ask, answer))

    def say(self, sample: Sample, ask: str, turn: Turn) -> None:
        """One user message and its answer."""
        sample.add(f"{USER}\n{ask}{END}\n{ASSISTANT}\n")
        sample.add_answer(turn, "")
        sample.add(END, ANSWER)
        sample.add("\n")

    def sample(self, chars: int, chat_share: float = 0.4, talk_share: float = 0.2) -> Sample:
        """One training sample of about ``chars`` characters."""
        rng = self.rng
        out = Sample()
        self.lists.invented = rng.choice(self.invented)
        if rng.random() < talk_share:
            self.talk(out)
            return out
        asked = max(1, min(14, int(chars / 300) + rng.randint(1, 3)))
        count = max(1, round((chars - asked * 90) / 43))
        facts = self.facts(count, rng.choice([1.0, 1.5, 2.5, 4.0]))
        if not facts:
            return self.sample(chars, chat_share, talk_share)
        document = self.document(facts)
        turns = self.turns(facts, document, asked)
        if rng.random() < chat_share:
            self.chat(out, document, turns)
        else:
            self.completion(out, document, turns)
        return out

    def talk(self, out: Sample) -> None:
        """Small talk only; also questions about a world without a text."""
        rng = self.rng
        turns = []
        for _ in range(rng.choice([1, 1, 2, 3, 5])):
            facts = self.facts(1, 1.0) if rng.random() < 0.12 else []
            if facts:
                fact = facts[0]
                turns.append(Turn(sentence(fill(rng.choice(fact.relation.asks), fact)), chatter.NO_TEXT))
            else:
                turns.append(Turn(*chatter.small_talk(rng)))
        if rng.random() < 0.25:
            self.completion(out, "", turns)
        else:
            out.add(BEGIN)
            if rng.random() < 0.3:
                out.add(f"{SYSTEM}\n{rng.choice(chatter.SYSTEMS)}{END}\n")
            for turn in turns:
                self.say(out, turn.ask, turn)


def drill(rng: random.Random, length: int, vocab: int, first: int = 6) -> tuple[list[int], list[float]]:
    """A warm-up exercise in token ids: random pieces, then the same pieces in another order.

    From the second token of a repeated piece on, everything can be predicted by
    looking the piece up. This is the circuit that answering needs.
    """
    ids: list[int] = [1]
    weights: list[float] = [0.0]
    pieces = []
    total = 0
    while total < length // 2 - 6:
        n = rng.randint(3, 9)
        pieces.append([rng.randrange(first, vocab) for _ in range(n)])
        total += n
    for p in pieces:
        ids += p
        weights += [0.0] * len(p)
    while len(ids) < length - 9:
        p = rng.choice(pieces)
        ids += p
        weights += [0.0] + [1.0] * (len(p) - 1)
    return ids, weights


if __name__ == "__main__":
    import sys

    world = World(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    for _ in range(5):
        print(world.sample(int(sys.argv[1]) if len(sys.argv) > 1 else 400).text)
        print("-" * 60)
