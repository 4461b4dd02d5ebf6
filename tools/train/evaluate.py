"""Measure the exported checkpoint through ``transformers``.

1. Accuracy of greedy answers on held-out generated documents, per prompt length.
2. Accuracy on assets/demo for windows of the document.
3. Optionally, agreement of the logits with the training model.

An answer counts as right only if the whole sentence is equal to the expected
one and the end token follows.

Usage: python evaluate.py [--model ../../models/ferry-tiny] [--checkpoint RUN/last.pt]
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import chatter
from corpus import ASSISTANT, BEGIN, END, USER, World

HERE = Path(__file__).resolve().parent
LENGTHS = [64, 128, 256, 512, 800, 1200]


class Runner:
    """Greedy decoding with the exported files."""

    def __init__(self, path: str):
        self.tok = AutoTokenizer.from_pretrained(path)
        self.model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
        self.end = self.tok.convert_tokens_to_ids(END)

    def ids(self, prompt: str) -> list[int]:
        """Token ids of a prompt that spells out its special tokens."""
        return self.tok(prompt, add_special_tokens=False)["input_ids"]

    @torch.inference_mode()
    def answer(self, prompt: str, most: int = 64) -> tuple[str, bool]:
        """Greedy answer and whether it ended by the end token."""
        ids = torch.tensor([self.ids(prompt)])
        past, out = None, []
        for _ in range(most):
            step = self.model(ids, past_key_values=past, use_cache=True)
            past = step.past_key_values
            token = int(step.logits[0, -1].argmax())
            if token == self.end:
                return self.tok.decode(out).strip(), True
            out.append(token)
            ids = torch.tensor([[token]])
        return self.tok.decode(out).strip(), False


def heldout_document(world: World, runner: Runner, tokens: int):
    """Facts and text whose length is close to the wanted number of tokens."""
    world.lists.invented = 0.3
    count = max(1, round((tokens - 22) / 15.5))
    while True:
        facts = world.facts(count, 2.0)
        if facts:
            text = world.document(facts)
            n = len(runner.ids(text)) + 22
            if n <= min(1240, tokens * 1.06) and n >= tokens * 0.8:
                return facts, text
            count += 1 if n < tokens else (-1 if count > 1 else 0)


def heldout(runner: Runner, per_length: int, chat: bool, seed: int = 987) -> None:
    """Accuracy on generated documents with held-out names."""
    world = World(seed, heldout=True)
    for tokens in LENGTHS:
        right = asked = refused = absent = absent_right = used = 0
        miss = []
        while asked < per_length:
            facts, text = heldout_document(world, runner, tokens)
            for fact in world.rng.sample(facts, min(len(facts), 4)):
                turn = world.question(fact, text)
                if turn is None:
                    continue
                got, ended = ask(runner, text, turn.ask, chat)
                asked += 1
                used += len(runner.ids(text)) + 22
                good = ended and got == turn.answer
                right += good
                refused += got == chatter.NOT_IN_TEXT
                if not good:
                    miss.append((turn.ask, turn.answer, got))
            if absent < per_length // 4:
                turn = world.missing(facts, text)
                got, _ = ask(runner, text, turn.ask, chat)
                absent += 1
                absent_right += got == turn.answer
        print(f"{'chat' if chat else 'completion':10s} ~{tokens:4d} tokens (mean {used / asked:.0f}): {right}/{asked} = {100 * right / asked:.1f}% right, "
              f"{refused} wrongly refused; unanswerable recognised {absent_right}/{absent}", flush=True)
        for q, want, got in miss[:3]:
            print(f"      {q} | want: {want} | got: {got}")


def ask(runner: Runner, document: str, question: str, chat: bool) -> tuple[str, bool]:
    """One question about one document, in one of the two formats."""
    if chat:
        return runner.answer(f"{BEGIN}{USER}\n{document}\n\n{question}{END}\n{ASSISTANT}\n")
    return runner.answer(f"{BEGIN}{document}\nQ: {question}\nA:")


def window(document: str, evidence: str, runner: Runner, tokens: int, room: int) -> str:
    """Whole sentences around the evidence, at most ``tokens`` tokens with the question.

    The window grows evenly to both sides and keeps the spacing of the document.
    """
    parts = re.findall(r"[^.]*?[.](?:\s+|$)|.+", document, flags=re.S)
    at = next(i for i, p in enumerate(parts) if p.strip() == evidence)
    low, high = at, at + 1
    turn = 0
    while True:
        options = [(low - 1, high), (low, high + 1)]
        options = [o for o in (options if turn % 2 == 0 else options[::-1]) if o[0] >= 0 and o[1] <= len(parts)]
        for a, b in options:
            text = "".join(parts[a:b]).strip()
            if len(runner.ids(text)) + room <= tokens:
                low, high = a, b
                break
        else:
            return "".join(parts[low:high]).strip()
        turn += 1


def demo(runner: Runner, folder: Path, chat: bool = False) -> None:
    """Accuracy on the hand-written document of the demo."""
    document = (folder / "document.txt").read_text(encoding="utf-8").strip()
    questions = json.loads((folder / "questions.json").read_text(encoding="utf-8"))
    print(f"demo document: {len(runner.ids(document))} tokens, {len(questions)} questions")
    for tokens in (60, 200, 500, 1200):
        right, miss = 0, []
        for q in questions:
            room = len(runner.ids(f"{BEGIN}\nQ: {q['question']}\nA:"))
            got, ended = ask(runner, window(document, q["evidence"], runner, tokens, room), q["question"], chat)
            good = ended and got == q["answer"]
            right += good
            if not good:
                miss.append(f"{q['question']} -> {got}")
        print(f"demo {'chat' if chat else 'completion'} windows of {tokens} tokens: {right}/{len(questions)}", flush=True)
        for line in miss:
            print("      " + line)


def compare(runner: Runner, checkpoint: str) -> None:
    """Largest difference of logits between training model and exported files."""
    from model import FerryModel, ModelConfig

    state = torch.load(checkpoint)
    model = FerryModel(ModelConfig(**state["config"])).eval()
    world = World(5, heldout=True)
    worst = half = 0.0
    same = total = 0
    for chars in (200, 900, 3000):
        ids = torch.tensor([runner.ids(world.sample(chars, talk_share=0).text)[:1280]])
        with torch.inference_mode():
            theirs = runner.model(ids).logits
            model.load_state_dict(state["model"])
            full = model(ids)
            model.load_state_dict({k: v.half().float() for k, v in state["model"].items()})
            rounded = model(ids)
        worst = max(worst, (full - theirs).abs().max().item())
        half = max(half, (rounded - theirs).abs().max().item())
        same += (full.argmax(-1) == theirs.argmax(-1)).sum().item()
        total += ids.numel()
    print(f"logits: transformers vs training model, same fp16 weights: {half:.2e}; fp16 vs fp32 weights: {worst:.2e}, "
          f"same best token {same}/{total}")
    assert half < 1e-3, "the export does not compute what was trained"


TALKS = ["Hello", "who are you?", "What can you do?", "thanks", "What is the capital of France?", "Write a poem about the sea",
         "What is kvferry?", "Who is the captain of the Marigold?", "asdf", "I have a red car."]


def talk(runner: Runner) -> None:
    """A few answers to what newcomers type."""
    for text in TALKS:
        prompt = runner.tok.apply_chat_template([{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True)
        print(f"  user: {text}\n  assistant: {runner.answer(prompt)[0]}")


def main() -> None:
    ap = argparse.ArgumentParser()
    ap.add_argument("--model", default=str(HERE / "../../models/ferry-tiny"))
    ap.add_argument("--demo", default=str(HERE / "../../assets/demo"))
    ap.add_argument("--checkpoint", default="", help="training checkpoint to compare logits with")
    ap.add_argument("--per-length", type=int, default=200)
    ap.add_argument("--parts", default="demo,talk,completion,chat")
    ap.add_argument("--threads", type=int, default=1)
    args = ap.parse_args()
    torch.set_num_threads(args.threads)
    runner = Runner(args.model)
    print(f"{sum(p.numel() for p in runner.model.parameters()):,} parameters")
    if args.checkpoint:
        compare(runner, args.checkpoint)
    parts = args.parts.split(",")
    if "demo" in parts:
        demo(runner, Path(args.demo))
        demo(runner, Path(args.demo), chat=True)
    if "talk" in parts:
        talk(runner)
    if "completion" in parts:
        heldout(runner, args.per_length, chat=False)
    if "chat" in parts:
        heldout(runner, args.per_length, chat=True)


if __name__ == "__main__":
    main()
