"""Turn a training checkpoint into the Hugging Face folder that ships.

Usage: python export.py --checkpoint RUN/last.pt --tokenizer DIR/tokenizer.json --out ../../models/ferry-tiny
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from corpus import BEGIN, END, PAD, SPECIALS

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)


def write_json(path: Path, value: dict) -> None:
    """Write a readable JSON file."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    ap = argparse.ArgumentParser()
    ap.add_argument("--checkpoint", required=True)
    ap.add_argument("--tokenizer", required=True)
    ap.add_argument("--out", required=True)
    args = ap.parse_args()
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)

    state = torch.load(args.checkpoint)
    shape = state["config"]
    # The output layer is the embedding, so it is not stored a second time.
    tensors = {name: t.to(torch.float16).contiguous() for name, t in state["model"].items()}
    worst = max(t.abs().max().item() for t in tensors.values())
    save_file(tensors, str(out / "model.safetensors"), metadata={"format": "pt"})

    (out / "model.safetensors").chmod(0o644)

    shutil.copyfile(args.tokenizer, out / "tokenizer.json")
    tok = Tokenizer.from_file(args.tokenizer)
    bos, eos, pad = (tok.token_to_id(t) for t in (BEGIN, END, PAD))
    write_json(out / "config.json", {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape["vocab_size"],
        "hidden_size": shape["hidden_size"],
        "intermediate_size": shape["intermediate_size"],
        "num_hidden_layers": shape["num_hidden_layers"],
        "num_attention_heads": shape["num_attention_heads"],
        "num_key_value_heads": shape["num_key_value_heads"],
        "head_dim": shape["head_dim"],
        "hidden_act": "silu",
        "max_position_embeddings": shape["max_position_embeddings"],
        "rms_norm_eps": shape["rms_norm_eps"],
        "rope_theta": shape["rope_theta"],
        "rope_scaling": None,
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "tie_word_embeddings": True,
        "use_cache": True,
        "bos_token_id": bos,
        "eos_token_id": eos,
        "pad_token_id": pad,
        "torch_dtype": "float16",
    })
    write_json(out / "generation_config.json", {
        "bos_token_id": bos, "eos_token_id": eos, "pad_token_id": pad, "do_sample": False, "max_new_tokens": 160,
    })
    write_json(out / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BEGIN,
        "eos_token": END,
        "pad_token": PAD,
        "additional_special_tokens": [t for t in SPECIALS if t not in (BEGIN, END, PAD)],
        "added_tokens_decoder": {
            str(tok.token_to_id(t)): {"content": t, "lstrip": False, "normalized": False, "rstrip": False,
                                      "single_word": False, "special": True} for t in SPECIALS},
        "model_max_length": shape["max_position_embeddings"],
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    })
    total = sum(f.stat().st_size for f in out.iterdir())
    print(f"{out}: {len(tensors)} tensors, {sum(t.numel() for t in tensors.values()):,} parameters, "
          f"largest weight {worst:.2f}, {total / 1e6:.2f} MB; trained on {state['tokens'] / 1e6:.1f}M tokens in {state['seconds'] / 60:.0f} min")


if __name__ == "__main__":
    main()
