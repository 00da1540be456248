"""Makes the fixtures beside it: what PyTorch makes, in float64, of small models that recall-bench must agree with.

    python Tests/Golden/make_golden.py           # PyTorch 2.13 on a CPU, numpy, safetensors

A fixture is a .safetensors file with float32 tensors: every parameter under its name; `gradient.<name>`, the gradient of
`loss` in it; `logits` (labelled positions, V); `loss`, the mean cross-entropy over them; `losses.exempt` and
`losses.all` (10): the loss after each of ten AdamW steps on the same batch, where weight decay spares biases, norm gains,
A_log, D and the dt bias, and where it does not. Its metadata, `case`, is JSON: the model, the batch, the optimiser's
numbers. The weights are float32 numbers, all arithmetic is float64.
"""

import json
import pathlib
import zlib

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from modules import LanguageModel, LinearAttention

VOCABULARY, LONGEST, BATCH, LENGTH, LABELS = 24, 30, 2, 23, 11
LEARNING_RATE, WEIGHT_DECAY, STEPS = 0.01, 0.5, 10
# Of the weights: another number where the assertions below refuse one.
DRAW = 6
FOLDER = pathlib.Path(__file__).parent / "Fixtures"


def model(d_model, layers, **settings):
    """A model as a run's specification has it, without dropout."""
    return {
        "d_model": d_model,
        "layers": layers,
        "block": "transformer",
        "state_mixer": "none",
        "positions": "none",
        "embed_dropout": 0,
        "residual_dropout": 0,
        "norm_epsilon": 1e-5,
        "init": "paper",
    } | settings


def attention(heads, **knobs):
    return {"mixer": "attention", "heads": heads, "dropout": 0, "rope": False} | knobs


def window(window, heads, **knobs):
    return {"mixer": "sliding-window", "window": window, "heads": heads} | knobs


def linear(feature_map, feature_dim, heads):
    return {
        "mixer": "linear-attention", "feature_map": feature_map, "feature_dim": feature_dim, "heads": heads,
    }  # fmt: skip


def conv(kernel_size):
    return {"mixer": "base-conv", "kernel_size": kernel_size}


def gated(kernel_size):
    return {"mixer": "gated-conv", "kernel_size": kernel_size}


def mamba(state_size, expand, kernel_size):
    return {"mixer": "mamba", "state_size": state_size, "expand": expand, "kernel_size": kernel_size}


# Widths, heads, windows, taps and states that fit no vector or tile.
CASES = {
    "attention": model(14, [attention(2), attention(1)], positions="learned", state_mixer="mlp"),
    "attention-rope": model(
        12, [attention(3, rope=True), attention(1, rope=True)], norm="rms", norm_epsilon=1e-2
    ),
    "sliding-window": model(15, [window(5, 3), window(1, 1)], state_mixer="identity", norm_epsilon=1e-2),
    "sliding-window-rope": model(
        14, [window(4, 1, rope=True), window(11, 7, rope=True)], norm="rms", positions="learned"
    ),
    "linear-attention-identity": model(15, [linear("identity", 5, 3), linear("identity", 7, 1)]),
    "linear-attention-relu": model(
        15, [linear("relu", 5, 3), linear("relu", 6, 1)], state_mixer="identity"
    ),
    "linear-attention-elu+1": model(
        14, [linear("elu+1", 5, 2), linear("elu+1", 3, 7)], state_mixer="mlp", norm="rms"
    ),
    "linear-attention-taylor-2": model(
        15, [linear("taylor-2", 5, 3), linear("taylor-2", 6, 1)], positions="learned"
    ),
    "base-conv-short": model(13, [conv(3), conv(7)], state_mixer="identity"),
    "base-conv-long": model(13, [conv("long"), conv(2)], state_mixer="none", norm="rms"),
    "base-conv-long-last": model(15, [conv(1), conv("long")], state_mixer="identity"),
    "gated-conv": model(12, [gated(3), gated(4)], norm="rms", state_mixer="swiglu"),
    "gated-conv-layer-norm": model(13, [gated(1), gated(5)], positions="learned", state_mixer="identity"),
    "mamba": model(13, [mamba(5, 2, 4), mamba(3, 1, 1)], block="mamba", norm_epsilon=1e-3),
    "mamba-rms": model(14, [mamba(3, 2, 4), mamba(4, 1, 2)], block="mamba", norm="rms", norm_epsilon=1e-3),
    "mamba-wide": model(17, [mamba(4, 1, 3), mamba(2, 2, 2)], block="mamba"),
    "mamba-transformer": model(13, [mamba(3, 1, 4), mamba(2, 1, 2)], state_mixer="mlp"),
    "based": model(15, [conv(3), linear("taylor-2", 5, 1)], state_mixer="identity"),
}


def start(parameters, case, generator):
    """Every parameter float32 and away from its usual start, so that each part of a model matters."""
    is_signed_map = any(layer.get("feature_map") in ("identity", "relu") for layer in case["layers"])
    for name, parameter in parameters:
        noise = 2 * torch.rand(parameter.shape, generator=generator, dtype=torch.float32) - 1
        value = 0.3 * noise if noise.dim() == 1 else noise * (3 / noise.shape[1]) ** 0.5
        leaf = ".".join(name.split(".")[-2:])
        if leaf in ("norm1.weight", "norm2.weight", "norm.weight", "mixer.skip"):
            value = 1 + 0.3 * noise
        elif name in ("embedding.weight", "positions.weight"):
            value = 1.5 * value
        elif leaf == "mixer.a_log":
            value = torch.log(1.0 + torch.arange(noise.shape[1])) + 0.3 * noise
        elif leaf == "delta.bias":
            value = noise  # steps of 0.3 to 1.3: what a state forgets shows within a short sequence
        elif is_signed_map and leaf == "norm1.bias":
            value = 1.2 + 0.3 * noise
        elif is_signed_map and leaf in ("q.weight", "k.weight"):
            # Mostly positive features: these maps' normalisers may come near zero otherwise.
            value = 0.6 * value + 0.35 / noise.shape[1] ** 0.5
        parameter.data.copy_(value.float())


def batch(seed):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(VOCABULARY, (BATCH, LENGTH), generator=generator)
    rows = torch.randperm(BATCH * LENGTH, generator=generator)[:LABELS].sort().values
    return tokens, rows, torch.randint(VOCABULARY, (LABELS,), generator=generator)


def labelled_logits(network, tokens, rows):
    return network(tokens).flatten(0, 1)[rows]


def is_exempt(name):
    """What weight decay spares by default: biases, norm gains, A_log, D and the dt bias."""
    parts = name.split(".")
    return parts[-1] in ("bias", "a_log", "skip") or parts[-2].startswith("norm")


def train(network, tokens, rows, labels, decays_all):
    """The losses after each step."""
    spared = [] if decays_all else [p for name, p in network.named_parameters() if is_exempt(name)]
    rest = [p for name, p in network.named_parameters() if decays_all or not is_exempt(name)]
    optimiser = torch.optim.AdamW(
        [{"params": rest}, {"params": spared, "weight_decay": 0}],
        lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=WEIGHT_DECAY,
    )  # fmt: skip
    losses = []
    for _ in range(STEPS):
        optimiser.zero_grad()
        F.cross_entropy(labelled_logits(network, tokens, rows), labels).backward()
        optimiser.step()
        with torch.no_grad():
            losses.append(F.cross_entropy(labelled_logits(network, tokens, rows), labels).item())
    return torch.tensor(losses, dtype=torch.float64)


def results(case, seed, dtype):
    """Every tensor of a fixture, in a precision."""
    tokens, rows, labels = batch(seed)

    def fresh():
        network = LanguageModel(case, VOCABULARY, LONGEST)
        start(network.named_parameters(), case, torch.Generator().manual_seed(seed))
        return network.to(dtype)

    network = fresh()
    tensors = {name: p.detach().clone() for name, p in network.named_parameters()}
    logits = labelled_logits(network, tokens, rows)
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    tensors |= {f"gradient.{name}": p.grad for name, p in network.named_parameters()}
    tensors |= {"logits": logits.detach(), "loss": loss.detach()}
    for kind in ("exempt", "all"):
        tensors[f"losses.{kind}"] = train(fresh(), tokens, rows, labels, decays_all=kind == "all")
    normalisers = [m.smallest_normaliser for m in network.modules() if isinstance(m, LinearAttention)]
    return tensors, min(normalisers, default=1)


def make(name, case):
    seed = zlib.crc32(f"{name} {DRAW}".encode())
    tensors, normaliser = results(case, seed, torch.float64)
    # A fixture must be one that float32 can agree with, in which every parameter matters and both decays differ.
    assert normaliser > 0.1, f"{name}: a normaliser of {normaliser}"
    rounded, _ = results(case, seed, torch.float32)
    worst = max((t - rounded[key]).abs().max().item() / t.abs().max().item() for key, t in tensors.items())
    assert worst < 1e-5, f"{name}: float32 is {worst} off"
    least = min(t.abs().max().item() for key, t in tensors.items() if key.startswith("gradient."))
    assert least > 1e-4, f"{name}: a gradient of at most {least}"
    gap = ((tensors["losses.all"] - tensors["losses.exempt"]).abs() / tensors["losses.all"]).max().item()
    assert gap > 1e-3, f"{name}: the decays' losses differ by {gap}"
    tokens, rows, labels = batch(seed)
    metadata = {
        "model": case,
        "vocabulary": VOCABULARY,
        "longest": LONGEST,
        "tokens": tokens.tolist(),
        "labelled_rows": rows.tolist(),
        "labels": labels.tolist(),
        "learning_rate": LEARNING_RATE,
        "weight_decay": WEIGHT_DECAY,
    }
    path = FOLDER / f"{name}.safetensors"
    save_file(
        {key: t.float().contiguous() for key, t in tensors.items()}, path, metadata={"case": json.dumps(metadata)}
    )
    print(
        f"{name:28} {path.stat().st_size / 1024:6.1f} KiB, loss {tensors['loss'].item():.4f} to "
        f"{tensors['losses.all'][-1].item():.4f}, float32 off by {worst:.1e}, normaliser {normaliser:.2f}, "
        f"least gradient {least:.1e}, decays {gap:.1e}"
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    for name, case in CASES.items():
        make(name, case)
