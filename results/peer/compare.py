#!/usr/bin/env python3
"""Times recall-bench's training step beside the PyTorch peer's, in turns, and prints a row of Markdown a model and shape.

  python3 -m pip install torch==2.13.0
  swift build -c release
  python3 results/peer/compare.py                      # the head at labelled positions
  python3 results/peer/compare.py --head all           # the head at every position, as the published harness has it

In each round both take the same number of steps: one PyTorch process with a thread a core, as many PyTorch processes as
cores with one thread each, and recall-bench with a run a core. The figures are medians over all rounds' steps, examples a
second of all processes together; the ratio is to the better of the two ways of running PyTorch. Both peers time one batch
that is there before. recall-bench's head is at labelled positions always, which gives the same loss and gradients.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

here = os.path.dirname(os.path.abspath(__file__))


def work(name, width, length, pairs, batch, vocab, head, threads):
    """A PyTorch process: for each line of standard input, so many steps, and their milliseconds on one line."""
    import torch
    from torch.nn import functional as F

    sys.path.insert(0, here)
    import pytorch_mqar as peer

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = peer.LanguageModel(name, width, vocab)
    x, y = peer.batch(batch, length, pairs, vocab, "cpu")
    opt = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1, fused=True)
    at = (y.flatten() != -100).nonzero().squeeze(1)

    def step():
        opt.zero_grad(set_to_none=True)
        h = model(x).flatten(0, 1)
        if head == "all":
            loss = F.cross_entropy(h @ model.embed.weight.t(), y.flatten())
        else:
            loss = F.cross_entropy(h[at] @ model.embed.weight.t(), y.flatten()[at])
        loss.backward()
        opt.step()

    step()
    print("ready", flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            step()
            times.append(1e3 * (time.perf_counter() - start))
        print(json.dumps(times), flush=True)


class Workers:
    """Some PyTorch processes that step side by side."""

    def __init__(self, count, threads, *args):
        command = [sys.executable, os.path.abspath(__file__), "--work", *map(str, args), str(threads)]
        self.processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)
        ]
        for process in self.processes:
            if process.stdout.readline().strip() != "ready":
                sys.exit("compare.py: a PyTorch process ended; is torch installed?")
        self.times = [[] for _ in self.processes]

    def steps(self, count):
        for process in self.processes:
            process.stdin.write(f"{count}\n")
            process.stdin.flush()
        for process, times in zip(self.processes, self.times):
            times += json.loads(process.stdout.readline())

    def close(self):
        for process in self.processes:
            process.stdin.close()
            process.wait()

    def examples_per_second(self, batch):
        return sum(1e3 * batch / statistics.median(times) for times in self.times)


def ours(binary, name, width, length, pairs, batch, vocab, steps, jobs, database):
    out = subprocess.run(
        [binary, "bench", "train", "--models", name, "--widths", str(width), "--shapes", f"{length}:{pairs}",
         "--batch", str(batch), "--vocab", str(vocab), "--steps", str(steps), "--jobs", str(jobs), "--json", "--db",
         database],
        check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return json.loads(out.stdout)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--binary", default=os.path.join(here, "../../.build/release/recall-bench"))
    p.add_argument("--models", default="attention,sliding-window,based,base-conv")
    p.add_argument("--widths", default="64,128")
    p.add_argument("--shapes", default="64:4,256:64", help="length:pairs")
    p.add_argument("--batch", type=int, default=256)
    p.add_argument("--vocab", type=int, default=8192)
    p.add_argument("--rounds", type=int, default=4)
    p.add_argument("--steps", type=int, default=5, help="a round")
    p.add_argument("--head", choices=["all", "labelled"], default="labelled")
    args = p.parse_args()
    cores = os.cpu_count()
    print("| model | d_model | L | pairs | PyTorch, 1 process | PyTorch, 1 thread each | recall-bench | ratio | step/floor |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for shape in args.shapes.split(","):
        length, pairs = map(int, shape.split(":"))
        for name in args.models.split(","):
            for width in map(int, args.widths.split(",")):
                row = (name, width, length, pairs, args.batch, args.vocab)
                one = Workers(1, cores, *row, args.head)
                many = Workers(cores, 1, *row, args.head)
                mine, floors = [], []
                with tempfile.TemporaryDirectory() as folder:
                    for _ in range(args.rounds):
                        one.steps(args.steps)
                        many.steps(args.steps)
                        line = ours(args.binary, *row, args.steps, cores, os.path.join(folder, "bench.sqlite"))
                        mine.append(line["examples_per_second"])
                        floors.append(line["median_ms"] / line["floor_ms"])
                peers = [workers.examples_per_second(args.batch) for workers in (one, many)]
                one.close()
                many.close()
                rate = statistics.median(mine)
                print(
                    f"| {name} | {width} | {length} | {pairs} | {peers[0]:,.0f} | {peers[1]:,.0f} | {rate:,.0f} "
                    f"| {rate / max(peers):.2f} | {statistics.median(floors):.2f} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        name, *numbers, head, threads = sys.argv[2:]
        work(name, *map(int, numbers), head, int(threads))
    else:
        main()
