"""The models of recall-bench as plain PyTorch modules, written from their papers' equations for clarity alone.

Every mixer takes (B, L, D) and gives (B, L, D). Parameters carry the names that recall-bench's checkpoints have, so a
checkpoint's tensors are a state dict of `LanguageModel`.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    """softmax(q kᵀ/√d) v over the keys up to the query's own, the last `window` of them if there is one.

    Vaswani et al. 2017; rotary positions in halves, base 10000: Su et al. 2021.
    """

    def __init__(self, width, heads, window=None, rope=False):
        super().__init__()
        self.heads, self.window, self.rope = heads, window, rope
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x):
        batch, length, width = x.shape
        d = width // self.heads
        # Outputs of the projection: (q ‖ k ‖ v), each head after head.
        q, k, v = (
            part.view(batch, length, self.heads, d).transpose(1, 2) for part in self.qkv(x).split(width, dim=-1)
        )
        if self.rope:
            q, k = rotate(q), rotate(k)
        scores = q @ k.transpose(-1, -2) / math.sqrt(d)
        distance = torch.arange(length)[:, None] - torch.arange(length)[None, :]
        hidden = distance < 0
        if self.window is not None:
            hidden = hidden | (distance >= self.window)
        weights = scores.masked_fill(hidden, -math.inf).softmax(dim=-1)
        return self.out((weights @ v).transpose(1, 2).reshape(batch, length, width))


def rotate(x):
    """x (…, L, d) turned: pair (x_i, x_{i+d/2}) at position p by p·10000^(-2i/d)."""
    length, d = x.shape[-2:]
    frequency = 10000.0 ** (-2 * torch.arange(d // 2, dtype=x.dtype) / d)
    angle = torch.arange(length, dtype=x.dtype)[:, None] * frequency
    first, second = x[..., : d // 2], x[..., d // 2 :]
    return torch.cat(
        [first * angle.cos() - second * angle.sin(), second * angle.cos() + first * angle.sin()], dim=-1
    )


FEATURE_MAPS = {
    "identity": lambda x: x,
    "relu": lambda x: torch.clamp(x, min=1e-12),
    "elu+1": lambda x: F.elu(x) + 1,
    "taylor-2": lambda x: taylor(x),
}


def taylor(x):
    """[1, x/f^¼, x⊗x/(√2·√f)], all f² products: φ(q)·φ(k) = 1 + s + s²/2, s = q·k/√f."""
    f = x.shape[-1]
    products = (x[..., :, None] * x[..., None, :]).flatten(-2) / (math.sqrt(2) * math.sqrt(f))
    return torch.cat([torch.ones_like(x[..., :1]), x / f**0.25, products], dim=-1)


class LinearAttention(nn.Module):
    """Σ_{j≤i} φ(q_i)·φ(k_j) v_j / (Σ_{j≤i} φ(q_i)·φ(k_j) + 1e-12). Katharopoulos et al. 2020; Based, Arora et al. 2024."""

    def __init__(self, width, heads, feature_dim, feature_map):
        super().__init__()
        self.heads, self.map = heads, FEATURE_MAPS[feature_map]
        self.q = nn.Linear(width, heads * feature_dim, bias=False)
        self.k = nn.Linear(width, heads * feature_dim, bias=False)
        self.v = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.smallest_normaliser = math.inf

    def forward(self, x):
        batch, length, width = x.shape

        def by_head(y):
            return y.view(batch, length, self.heads, -1).transpose(1, 2)

        q, k, v = self.map(by_head(self.q(x))), self.map(by_head(self.k(x))), by_head(self.v(x))
        weights = (q @ k.transpose(-1, -2)).tril()
        normaliser = weights.sum(dim=-1, keepdim=True) + 1e-12
        self.smallest_normaliser = min(self.smallest_normaliser, normaliser.min().item())
        return self.out((weights @ v / normaliser).transpose(1, 2).reshape(batch, length, width))


class DepthwiseConvolution(nn.Module):
    """y_t = b + Σ_j w[j]·x_{t-(K-1)+j}: the last tap meets the current token, zeros stand before the first."""

    def __init__(self, channels, taps, bias):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, taps))
        self.bias = nn.Parameter(torch.empty(channels)) if bias else None

    def forward(self, x):
        channels, taps = self.weight.shape
        padded = F.pad(x.transpose(1, 2), (taps - 1, 0))
        return F.conv1d(padded, self.weight[:, None], self.bias, groups=channels).transpose(1, 2)


class ImplicitFilter(nn.Module):
    """h_t = W₂ relu(W₁ z_t + b₁) + b₂, z_t = [t/(l-1), cos(f w_t), -sin(f w_t)], w_t = 2πt/l, f = 1e-4."""

    def __init__(self, width, longest):
        super().__init__()
        self.longest = longest
        self.inner = nn.Linear(3, 16)
        self.outer = nn.Linear(16, width)

    def forward(self, length):
        t = torch.arange(self.longest, dtype=self.inner.weight.dtype)
        angle = 1e-4 * 2 * math.pi * t / self.longest
        z = torch.stack([t / (self.longest - 1), angle.cos(), -angle.sin()], dim=-1)
        return self.outer(torch.relu(self.inner(z)))[:length]


class BaseConv(nn.Module):
    """conv(u) ⊙ (u Wᵀ + b) + u, the convolution short or as long as the sequence. Zoology, Arora et al. 2023."""

    def __init__(self, width, kernel_size, longest):
        super().__init__()
        self.projection = nn.Linear(width, width)
        if kernel_size == "long":
            self.filter = ImplicitFilter(width, longest)
        else:
            self.conv = DepthwiseConvolution(width, kernel_size, bias=True)

    def forward(self, u):
        if not hasattr(self, "filter"):
            return self.conv(u) * self.projection(u) + u
        length = u.shape[1]
        h = self.filter(length)
        # The long convolution has a skip of its own.
        convolved = torch.stack(
            [u[:, t] + sum(h[lag] * u[:, t - lag] for lag in range(t + 1)) for t in range(length)], dim=1
        )
        return convolved * self.projection(u) + u


class GatedConvolution(nn.Module):
    """W_o(silu(conv(u₁)) ⊙ u₂) + b_o, u₁ and u₂ projections to 2 D. Based's language models, Arora et al. 2024."""

    def __init__(self, width, kernel_size):
        super().__init__()
        self.add_module("in", nn.Linear(width, 2 * width))
        self.gate = nn.Linear(width, 2 * width)
        self.conv = DepthwiseConvolution(2 * width, kernel_size, bias=False)
        self.out = nn.Linear(2 * width, width)

    def forward(self, x):
        return self.out(F.silu(self.conv(getattr(self, "in")(x))) * self.gate(x))


class Mamba(nn.Module):
    """h_t = exp(Δ_t A) h_{t-1} + Δ_t B_t x_t, y_t = C_t·h_t + D x_t, gated by silu(z). Gu, Dao 2023."""

    def __init__(self, width, state_size, expand, kernel_size):
        super().__init__()
        channels, rank = expand * width, math.ceil(width / 16)
        self.sizes = [rank, state_size, state_size]
        self.add_module("in", nn.Linear(width, 2 * channels, bias=False))
        self.conv = DepthwiseConvolution(channels, kernel_size, bias=True)
        self.selection = nn.Linear(channels, sum(self.sizes), bias=False)
        self.delta = nn.Linear(rank, channels)
        self.a_log = nn.Parameter(torch.empty(channels, state_size))
        self.skip = nn.Parameter(torch.empty(channels))
        self.out = nn.Linear(channels, width, bias=False)

    def forward(self, u):
        x, z = getattr(self, "in")(u).chunk(2, dim=-1)
        x = F.silu(self.conv(x))
        low, b, c = self.selection(x).split(self.sizes, dim=-1)
        delta = F.softplus(self.delta(low))
        a = -self.a_log.exp()
        h = torch.zeros(u.shape[0], *self.a_log.shape, dtype=u.dtype)  # (B, I, N)
        outputs = []
        for t in range(u.shape[1]):
            h = (delta[:, t, :, None] * a).exp() * h + (delta[:, t] * x[:, t])[:, :, None] * b[:, t, None, :]
            outputs.append((h * c[:, t, None, :]).sum(dim=-1) + self.skip * x[:, t])
        return self.out(torch.stack(outputs, dim=1) * F.silu(z))


class RMSNorm(nn.Module):
    """x·rsqrt(mean(x²) + ε) ⊙ g. Zhang, Sennrich 2019."""

    def __init__(self, width, epsilon):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.epsilon = epsilon

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + self.epsilon) * self.weight


class MLP(nn.Module):
    """fc2(gelu(fc1 x)), the exact GELU, hidden width 4 D."""

    def __init__(self, width):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class SwiGLU(nn.Module):
    """W₂(value ⊙ silu(gate)), (value ‖ gate) = W₁ x, hidden ⌊8 D/3⌋ rounded up to a multiple of 256. Shazeer 2020."""

    def __init__(self, width):
        super().__init__()
        hidden = math.ceil((8 * width // 3) / 256) * 256
        self.fc1 = nn.Linear(width, 2 * hidden, bias=False)
        self.fc2 = nn.Linear(hidden, width, bias=False)

    def forward(self, x):
        value, gate = self.fc1(x).chunk(2, dim=-1)
        return self.fc2(value * F.silu(gate))


def make_mixer(layer, width, longest):
    knobs = {key: value for key, value in layer.items() if key != "mixer"}
    match layer["mixer"]:
        case "attention":
            assert knobs.pop("dropout", 0) == 0
            return Attention(width, knobs["heads"], rope=knobs.get("rope", False))
        case "sliding-window":
            return Attention(width, knobs["heads"], window=knobs["window"], rope=knobs.get("rope", False))
        case "linear-attention":
            return LinearAttention(width, **knobs)
        case "base-conv":
            return BaseConv(width, knobs["kernel_size"], longest)
        case "gated-conv":
            return GatedConvolution(width, **knobs)
        case "mamba":
            return Mamba(width, **knobs)
    raise ValueError(f"no module is written for {layer['mixer']}")


class Block(nn.Module):
    """r ← r + mixer(norm₁ r); in a transformer block then r ← r + state_mixer(norm₂ r).

    The state mixer `identity` is one that gives its input back: the block adds norm₂ r. `none` adds nothing.
    """

    def __init__(self, config, layer, longest):
        super().__init__()
        width = config["d_model"]
        self.mixer = make_mixer(config["layers"][layer], width, longest)
        is_mamba = config["block"] == "mamba"
        kind = "rms" if is_mamba else config.get("norm", "layer")
        self.norm1 = make_norm(kind, width, config["norm_epsilon"])
        state_mixer = "none" if is_mamba else config["state_mixer"]
        if state_mixer != "none":
            self.norm2 = make_norm(kind, width, config["norm_epsilon"])
            self.state_mixer = {"identity": lambda _: nn.Identity(), "mlp": MLP, "swiglu": SwiGLU}[state_mixer](width)

    def forward(self, r):
        r = r + self.mixer(self.norm1(r))
        return r + self.state_mixer(self.norm2(r)) if hasattr(self, "state_mixer") else r


def make_norm(kind, width, epsilon):
    return RMSNorm(width, epsilon) if kind == "rms" else nn.LayerNorm(width, eps=epsilon)


class LanguageModel(nn.Module):
    """Embedding, blocks, a last norm, and the embedding again as the head, without a bias. No dropout.

    - config: as a suite's run has it in the specification of its checkpoint, under "model".
    - longest: the longest sequence of the task, which fixes learned positions and implicit filters.
    """

    def __init__(self, config, vocabulary, longest):
        super().__init__()
        width = config["d_model"]
        self.embedding = nn.Embedding(vocabulary, width)
        if config["positions"] == "learned":
            self.positions = nn.Embedding(longest, width)
        self.layers = nn.ModuleList(Block(config, layer, longest) for layer in range(len(config["layers"])))
        # After Mamba blocks too, whose own norms are RMSNorm.
        self.norm = make_norm(config.get("norm", "layer"), width, config["norm_epsilon"])

    def forward(self, tokens):
        """(B, L) token ids to (B, L, V) logits."""
        r = self.embedding(tokens)
        if hasattr(self, "positions"):
            r = r + self.positions.weight[: tokens.shape[1]]
        for layer in self.layers:
            r = layer(r)
        return self.norm(r) @ self.embedding.weight.T
