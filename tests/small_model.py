"""A language model of half a megabyte with random weights, and llama.cpp serving it on loopback.

It knows nothing: its answers are valid under a schema and mean nothing. The inference is real.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lpm.population.seeds import generator

WIDTH, LAYERS, HEADS, HIDDEN = 64, 2, 4, 128
CONTEXT = 4096
ROLES = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: "


def write_model(path: Path, seed: int = 0) -> Path:
    """A Llama over bytes: each token is a byte, so a text has as many tokens as bytes."""
    gguf = pytest.importorskip("gguf", reason="gguf writes the model: pip install 'lpm[test]'")
    draw = generator(seed)
    file = gguf.GGUFWriter(str(path), "llama")
    file.add_context_length(CONTEXT)
    file.add_embedding_length(WIDTH)
    file.add_block_count(LAYERS)
    file.add_feed_forward_length(HIDDEN)
    file.add_head_count(HEADS)
    file.add_head_count_kv(HEADS)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_rope_dimension_count(WIDTH // HEADS)
    words = _add_words(file)

    def weights(name: str, rows: int, columns: int, scale: float = 1.0) -> None:
        table = draw.standard_normal((rows, columns)) * scale / np.sqrt(columns)
        file.add_tensor(name, table.astype(np.float32))

    weights("token_embd.weight", words, WIDTH, 8.0)
    for i in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            weights(f"blk.{i}.{name}.weight", WIDTH, WIDTH)
        weights(f"blk.{i}.ffn_gate.weight", HIDDEN, WIDTH)
        weights(f"blk.{i}.ffn_up.weight", HIDDEN, WIDTH)
        weights(f"blk.{i}.ffn_down.weight", WIDTH, HIDDEN)
        for name in ("attn_norm", "ffn_norm"):
            file.add_tensor(f"blk.{i}.{name}.weight", np.ones(WIDTH, np.float32))
    file.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    weights("output.weight", words, WIDTH, 3.0)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return path


def _add_words(file) -> int:
    """Three special tokens, the 256 bytes, and the mark that SentencePiece writes for a space."""
    tokens = [b"<unk>", b"<s>", b"</s>", *(f"<0x{i:02X}>".encode() for i in range(256))]
    tokens.append("\u2581".encode())
    file.add_vocab_size(len(tokens))
    file.add_tokenizer_model("llama")
    file.add_tokenizer_pre("default")
    file.add_token_list(tokens)
    file.add_token_scores([0.0] * len(tokens))
    file.add_token_types([2, 3, 3, *([6] * 256), 1])
    file.add_bos_token_id(1)
    file.add_eos_token_id(2)
    file.add_unk_token_id(0)
    file.add_chat_template(ROLES)
    return len(tokens)


@contextmanager
def serve_model(path: Path, key: str = "", at_once: int = 2) -> Iterator[str]:
    """Address of llama.cpp's own server with the model, on a free port of this machine."""
    llama = pytest.importorskip(
        "xllamacpp", reason="xllamacpp serves the model: pip install 'lpm[personas]'"
    )
    params = llama.CommonParams()
    params.model.path = str(path)
    params.n_ctx, params.n_parallel = CONTEXT * at_once, at_once
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_prompt, params.warmup, params.verbosity = False, False, -1
    params.hostnames, params.port = ["127.0.0.1"], 0
    if key:
        params.api_keys = [key]
    server = llama.Server(params)
    try:
        yield server.listening_address
    finally:
        del server
