"""Reads with NumPy and safetensors what recall-bench wrote, and writes what it should read or refuse.

    exchange.py checkpoint FILE FOLDER     a checkpoint, and the same again in FOLDER
    exchange.py dataset FOLDER COPY        a dataset, and the same again in COPY
    exchange.py arrays FOLDER              FOLDER/*.npy and FOLDER/arrays.safetensors as JSON in FOLDER/read.json
    exchange.py strange FOLDER             files for recall-bench's readers, and FOLDER/manifest.json

Anything that is not as it should be ends it with an error.
"""

import json
import pathlib
import sys

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file


def require(holds, what):
    if not holds:
        sys.exit(f"exchange.py: {what}")


def description(array):
    """An array's type, shape and bits, so that NaN and -0 compare too."""
    words = {4: "<u4", 8: "<u8"}[array.dtype.itemsize]
    bits = np.ascontiguousarray(array).reshape(-1).view(words)
    return {"dtype": array.dtype.str, "shape": list(array.shape), "bits": [str(b) for b in bits.tolist()]}


def checkpoint(path, folder):
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
        names = list(file.keys())
        tensors = {name: file.get_tensor(name) for name in names}
    require(metadata["format"] == "pt" and metadata["version"] == "1", f"metadata {metadata}")
    specification = json.loads(metadata["specification"])
    require(int(metadata["epoch"]) >= 1 and int(metadata["step"]) >= 1, "epoch and step")
    vocabulary, width = specification["task"]["vocab_size"], specification["model"]["d_model"]
    require(tensors["embedding.weight"].shape == (vocabulary, width), "the embedding's shape")
    parameters = {name for name in names if not name.startswith("optimizer.")}
    for name in parameters:
        for moment in (f"optimizer.m.{name}", f"optimizer.v.{name}"):
            require(tensors[moment].shape == tensors[name].shape, f"{moment}'s shape")
    require(len(names) == 3 * len(parameters), "a tensor that is no parameter's")
    for name, tensor in tensors.items():
        require(tensor.dtype == np.float32, f"{name} is {tensor.dtype}")
        np.save(folder / f"{name}.npy", tensor)
    save_file(tensors, folder / "rewritten.safetensors", metadata=metadata)
    (folder / "metadata.json").write_text(json.dumps(metadata))


def dataset(source, copy):
    text = (source / "dataset.json").read_text()
    about = json.loads(text)
    vocabulary = about["task"]["vocab_size"]
    for segment in about["segments"]:
        inputs, labels = (np.load(source / segment["folder"] / f"{name}.npy") for name in ("inputs", "labels"))
        pairs = segment["kv_pairs"]
        for array in (inputs, labels):
            require(array.dtype.str == "<i8" and array.flags.c_contiguous, f"{array.dtype}")
            require(list(array.shape) == segment["shape"], f"{array.shape} is not {segment['shape']}")
        require(((inputs >= 0) & (inputs < vocabulary)).all(), "a token outside the vocabulary")
        require(((labels != -100).sum(axis=1) == pairs).all(), "examples without as many labels as pairs")
        for example, (tokens, expected) in enumerate(zip(inputs, labels)):
            pair = dict(zip(tokens[: 2 * pairs : 2].tolist(), tokens[1 : 2 * pairs : 2].tolist()))
            for position in np.flatnonzero(expected != -100):
                require(
                    position >= 2 * pairs and pair[int(tokens[position])] == expected[position],
                    f"example {example}: the label at {position} is not its key's value",
                )
        folder = copy / segment["folder"]
        folder.mkdir(parents=True)
        np.save(folder / "inputs.npy", inputs)
        np.save(folder / "labels.npy", labels)
    (copy / "dataset.json").write_text(text)


def arrays(folder):
    read = {path.stem: description(np.load(path)) for path in sorted(folder.glob("*.npy"))}
    tensors = {name: description(t) for name, t in load_file(folder / "arrays.safetensors").items()}
    with safe_open(folder / "arrays.safetensors", framework="numpy") as file:
        metadata = file.metadata()
    (folder / "read.json").write_text(json.dumps({"npy": read, "safetensors": tensors, "metadata": metadata}))


def strange(folder):
    """A file each, with what a reader must find in it or, where it must refuse it, a part of what it must say."""
    manifest = []
    floats = np.array([0.0, -0.0, 1.5, np.nan, np.inf, -np.inf, 1e-45, 3.4028235e38], "<f4")
    integers = np.array([0, -100, 2**63 - 1, -(2**63), 8191], "<i8")

    def add(name, write, *, refused=None, **expected):
        write(folder / name)
        manifest.append({"file": name, "refused": refused, **expected})

    def npy(name, array, refused=None, read=None, **options):
        """`read` is what a reader makes of the array, where that is of another type."""
        def write(path):
            with open(path, "wb") as file:
                np.lib.format.write_array(file, array, **options)

        add(f"{name}.npy", write, refused=refused, arrays={} if refused else {"": description(array if read is None else read)})

    npy("floats", floats)
    npy("integers", integers)
    npy("odd shape", np.arange(105, dtype="<f4").reshape(3, 5, 7, 1))
    npy("empty", np.zeros((0,), "<i8"))
    npy("empty in the middle", np.zeros((3, 0, 2), "<f4"))
    npy("no dimension", np.array(-7, "<i8"))
    npy("version 2", floats.reshape(2, 4), version=(2, 0))
    npy("version 3", integers, version=(3, 0))
    # In one dimension both orders are the same.
    npy("fortran vector", np.asfortranarray(floats))
    npy("fortran", np.asfortranarray(np.arange(6, dtype="<i8").reshape(2, 3)), refused="Fortran order")
    npy("big-endian integers", integers.astype(">i8"), refused="'>i8'")
    npy("big-endian floats", floats.astype(">f4"), refused="'>f4'")
    for kind in ("<i4", "<u4", "<i2", "<u2", "|i1", "|u1"):
        narrow = np.array([1, 100, 127], kind)
        npy(kind[1:], narrow, read=narrow.astype("<i8"))
    npy("float64", floats.astype("<f8"), refused="'<f8'")
    npy("float16", np.ones(3, "<f2"), refused="'<f2'")
    npy("bool", np.array([True]), refused="'|b1'")
    npy("text", np.array(["ä"]), refused="'<U1'")
    npy("object", np.array([None]), refused="'|O'", allow_pickle=True)
    npy("structured", np.zeros(2, [("a", "<f4"), ("b", "<i8")]), refused="its elements are")

    def tensors(name, arrays, metadata=None, refused=None):
        add(
            f"{name}.safetensors", lambda path: save_file(arrays, path, metadata=metadata), refused=refused,
            arrays={} if refused else {key: description(array) for key, array in arrays.items()},
            metadata=metadata or {},
        )  # fmt: skip

    tensors("numbers", {"x": floats}, {"format": "np"})
    tensors("none", {})
    tensors("no metadata", {"layers.0.weight": floats.reshape(2, 4)})
    tensors(
        "odd shapes",
        {
            "no dimension": np.array(1.5, "<f4"),
            "one": floats[:1],
            "seven": np.arange(7, dtype="<f4"),
            "five axes": np.arange(42, dtype="<f4").reshape(1, 2, 3, 7, 1),
        },
    )
    tensors("empty tensors", {"a": np.zeros((0,), "<f4"), "b": floats, "c": np.zeros((4, 0, 3), "<f4")})
    tensors(
        "unicode", {"größe.ß": floats, "層.重み": floats, 'quote " and \\': floats},
        {"ключ": "значение", "emoji": "🦜 \"quoted\" \\ \n line", "": "no name"},
    )  # fmt: skip
    for kind, name in (
        ("<f8", "F64"), ("<f2", "F16"), ("<i8", "I64"), ("<i4", "I32"), ("|u1", "U8"), ("|b1", "BOOL"),
    ):  # fmt: skip
        tensors(name, {"x": np.ones(3, kind)}, refused=f"'x' is {name}; only F32 is read")
    (folder / "manifest.json").write_text(json.dumps(manifest))


COMMANDS = {"checkpoint": checkpoint, "dataset": dataset, "arrays": arrays, "strange": strange}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*map(pathlib.Path, sys.argv[2:]))
