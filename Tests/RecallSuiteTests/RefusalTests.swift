import RecallSuite
import Testing

/// A change to `plainSuite` that must be refused, with the exact line.
struct Refusal: Sendable, CustomTestStringConvertible {
    let old: String
    let new: String
    let error: String

    init(_ old: String, _ new: String, _ error: String) {
        (self.old, self.new, self.error) = (old, new, error)
    }

    var testDescription: String { error }
}

@Suite struct RefusalTests {
    @Test(arguments: keyRefusals + typeRefusals + valueRefusals + layerRefusals + gridRefusals + taskRefusals)
    func isRefusedWithItsLine(_ refusal: Refusal) {
        let error = RecallSuiteTests.refusal(edited(refusal.old, refusal.new))
        #expect(error?.description == refusal.error)
    }

    static let keyRefusals = [
        Refusal("name: plain", "nam: plain", "x.yaml:1:1: nam: unknown key; did you mean 'name'?"),
        Refusal(
            "name: plain",
            "name: plain\nzebra: 1",
            "x.yaml:2:1: zebra: unknown key; there are name, description, task, training, control, models"
        ),
        Refusal(
            "  epochs: 1",
            "  epochs: 1\n  epoch: 2",
            "x.yaml:10:3: training.epoch: unknown key; did you mean 'epochs'?"
        ),
        Refusal(
            "vocab_size: 64",
            "vocabsize: 64",
            "x.yaml:4:3: task.vocabsize: unknown key; did you mean 'vocab_size'?"
        ),
        Refusal(
            "d_model: 16",
            "d_model: 16\n    state_mixr: none",
            "x.yaml:15:5: models[0].state_mixr: unknown key; did you mean 'state_mixer'?"
        ),
        Refusal(
            "heads: 2",
            "haeds: 2",
            "x.yaml:15:44: models[0].layers[1].haeds: unknown key; did you mean 'heads'?"
        ),
        Refusal(
            "kv_pairs: 4",
            "pairs: 4",
            "x.yaml:5:33: task.train[0].pairs: unknown key; there are sequence_length, kv_pairs, examples"
        ),
        Refusal("name: plain\n", "", "x.yaml:1:1: the key 'name' is missing"),
        Refusal("  epochs: 1\n", "", "x.yaml:9:3: training: the key 'epochs' is missing"),
        Refusal("  vocab_size: 64\n", "", "x.yaml:3:3: task: the key 'vocab_size' is missing"),
        Refusal("    d_model: 16\n", "", "x.yaml:13:5: models[0]: the key 'd_model' is missing"),
        Refusal(", examples: 10", "", "x.yaml:5:11: task.train[0]: the key 'examples' is missing"),
        Refusal(
            "{mixer: attention,",
            "{",
            "x.yaml:15:25: models[0].layers[1]: the key 'mixer' is missing"
        ),
        Refusal(
            "{mixer: attention,",
            "{mixr: attention,",
            "x.yaml:15:25: models[0].layers[1]: the key 'mixer' is missing; is 'mixr' meant?"
        ),
        Refusal(
            "name: plain",
            "name: plain\nname: again",
            "x.yaml:2:1: key 'name' is there twice (first in line 1); keep one of them"
        ),
        Refusal(
            "  epochs: 1",
            "  epochs: 1\n  batch_size: 4\n  decay: all",
            "x.yaml:12:3: key 'batch_size' is there twice (first in line 10); keep one of them"
        ),
        Refusal(
            "heads: 2",
            "heads: 2, heads: 4",
            "x.yaml:15:54: key 'heads' is there twice (first in line 15); keep one of them"
        ),
        Refusal(
            "heads: 2",
            "'heads': 2, \"heads\": 4",
            "x.yaml:15:56: key 'heads' is there twice (first in line 15); keep one of them"
        ),
    ]

    static let typeRefusals = [
        Refusal(
            "epochs: 1",
            "epochs: many",
            "x.yaml:9:11: training.epochs: must be an integer from 1 to 1000000, not 'many'"
        ),
        Refusal(
            "epochs: 1",
            "epochs: 1.5",
            "x.yaml:9:11: training.epochs: must be an integer from 1 to 1000000, not '1.5'"
        ),
        Refusal(
            "epochs: 1",
            "epochs: \"1\"",
            "x.yaml:9:11: training.epochs: must be an integer from 1 to 1000000, not '1'"
        ),
        Refusal(
            "epochs: 1",
            "epochs: true",
            "x.yaml:9:11: training.epochs: must be an integer from 1 to 1000000, not 'true'"
        ),
        Refusal(
            "epochs: 1",
            "epochs: yes",
            "x.yaml:9:11: training.epochs: must be an integer from 1 to 1000000, not 'yes'"
        ),
        Refusal(
            "epochs: 1",
            "epochs:",
            "x.yaml:9:10: training.epochs: must be an integer from 1 to 1000000, not nothing"
        ),
        Refusal(
            "epochs: 1",
            "epochs: {a: 1}",
            "x.yaml:9:11: training.epochs: must be an integer from 1 to 1000000, not a mapping"
        ),
        Refusal(
            "epochs: 1",
            "epochs: 010",
            "x.yaml:9:11: training.epochs: must be an integer from 1 to 1000000, not '010'"
        ),
        Refusal(
            "epochs: 1",
            "epochs: 1_000",
            "x.yaml:9:11: training.epochs: must be an integer from 1 to 1000000, not '1_000'"
        ),
        Refusal(
            "epochs: 1",
            "epochs: 99999999999999999999",
            "x.yaml:9:11: training.epochs: must be an integer from 1 to 1000000, not '99999999999999999999'"
        ),
        Refusal(
            "epochs: 1",
            "epochs: [1, [2]]",
            "x.yaml:9:15: training.epochs[1]: must be one value, not a list in a list"
        ),
        Refusal(
            "[0.01, 0.001]",
            "fast",
            "x.yaml:11:18: training.learning_rate: must be a number above 0, not 'fast'"
        ),
        Refusal(
            "name: plain",
            "name: 5",
            "x.yaml:1:7: name: must be text, not '5', which is a number or a boolean; put it in quotes"
        ),
        Refusal(
            "name: first",
            "name: no",
            "x.yaml:13:11: models[0].name: must be text, not 'no', which is a number or a boolean; put it in quotes"
        ),
        Refusal("name: first", "name: [a, b]", "x.yaml:13:11: models[0].name: must be text, not a list"),
        Refusal(
            "name: first",
            "name: 'a,b'",
            "x.yaml:13:11: models[0].name: must not contain ','; 'a,b' could not be given to --only"
        ),
        Refusal("name: first", "name: ''", "x.yaml:13:11: models[0].name: must not be empty"),
        Refusal(
            "vocab_size: 64",
            "vocab_size: [64, 128]",
            "x.yaml:4:15: task.vocab_size: must be an integer from 1 to 9223372036854775807, not a list"
        ),
        Refusal(
            "vocab_size: 64",
            "vocab_size: 64\n  random_non_queries: yes",
            "x.yaml:5:23: task.random_non_queries: must be true or false, not 'yes'"
        ),
        Refusal(
            "vocab_size: 64",
            "vocab_size: 64\n  data_seed: -1",
            "x.yaml:5:14: task.data_seed: must be an integer from 0 to 18446744073709551615, not '-1'"
        ),
        Refusal(
            "train: [{sequence_length: 32, kv_pairs: 4, examples: 10}]",
            "train: 5",
            "x.yaml:5:10: task.train: must be a list of segments, such as "
                + "{sequence_length: 64, kv_pairs: 8, examples: 1000}, not '5'"
        ),
        Refusal(
            "{mixer: attention, heads: 2}",
            "{mixer: attention, rope: yes}",
            "x.yaml:15:50: models[0].layers[1].rope: must be true or false, not 'yes'"
        ),
        Refusal(
            "heads: 2",
            "heads: two",
            "x.yaml:15:51: models[0].layers[1].heads: must be an integer from 1 to 1024, not 'two'"
        ),
        Refusal(
            "{mixer: attention, heads: 2}",
            "{mixer: [attention, mamba]}",
            "x.yaml:15:33: models[0].layers[1].mixer: must be text, not a list"
        ),
        Refusal(
            "learning_rate: [0.01, 0.001]",
            "learning_rate: 0.01\n  seeds: [1, 2]",
            "x.yaml:12:10: training.seeds: must be an integer from 1 to 100000, not a list"
        ),
    ]

    static let valueRefusals = [
        Refusal(
            "d_model: 16",
            "d_model: -4",
            "x.yaml:14:14: models[0].d_model: must be an integer from 1 to 16384, not '-4'"
        ),
        Refusal(
            "d_model: 16",
            "d_model: 0",
            "x.yaml:14:14: models[0].d_model: must be an integer from 1 to 16384, not '0'"
        ),
        Refusal(
            "d_model: 16",
            "d_model: 1000000",
            "x.yaml:14:14: models[0].d_model: must be an integer from 1 to 16384, not '1000000'"
        ),
        Refusal(
            "epochs: 1",
            "epochs: 0",
            "x.yaml:9:11: training.epochs: must be an integer from 1 to 1000000, not '0'"
        ),
        Refusal(
            "batch_size: 8",
            "batch_size: 0",
            "x.yaml:10:15: training.batch_size: must be an integer from 1 to 1048576, not '0'"
        ),
        Refusal(
            "epochs: 1",
            "epochs: 1\n  seeds: 0",
            "x.yaml:10:10: training.seeds: must be an integer from 1 to 100000, not '0'"
        ),
        Refusal(
            "[0.01, 0.001]",
            "[0.01, 0]",
            "x.yaml:11:25: training.learning_rate[1]: must be a number above 0, not '0'"
        ),
        Refusal(
            "[0.01, 0.001]",
            "-1e-3",
            "x.yaml:11:18: training.learning_rate: must be a number above 0, not '-1e-3'"
        ),
        Refusal(
            "[0.01, 0.001]",
            ".inf",
            "x.yaml:11:18: training.learning_rate: must be a number above 0, not '.inf'"
        ),
        Refusal(
            "[0.01, 0.001]",
            ".nan",
            "x.yaml:11:18: training.learning_rate: must be a number above 0, not '.nan'"
        ),
        Refusal(
            "[0.01, 0.001]",
            "1e999",
            "x.yaml:11:18: training.learning_rate: must be a number above 0, not '1e999'"
        ),
        Refusal(
            "epochs: 1",
            "epochs: 1\n  weight_decay: -0.1",
            "x.yaml:10:17: training.weight_decay: must be a number from 0, not '-0.1'"
        ),
        Refusal(
            "epochs: 1",
            "epochs: 1\n  stop_at_accuracy: 1.01",
            "x.yaml:10:21: training.stop_at_accuracy: must be a number from 0 to 1, not '1.01'"
        ),
        Refusal(
            "epochs: 1",
            "epochs: 1\n  schedule: cosine-epochs",
            "x.yaml:10:13: training.schedule: must be one of cosine-epoch, cosine-step, constant, not 'cosine-epochs'; "
                + "did you mean 'cosine-epoch'?"
        ),
        Refusal(
            "epochs: 1",
            "epochs: 1\n  precision: fp8",
            "x.yaml:10:14: training.precision: must be one of fp32, tf32, bf16, not 'fp8'"
        ),
        Refusal(
            "epochs: 1",
            "epochs: 1\n  decay: everything",
            "x.yaml:10:10: training.decay: must be one of exempt, all, not 'everything'"
        ),
        Refusal(
            "d_model: 16",
            "d_model: 16\n    embed_dropout: 1",
            "x.yaml:15:20: models[0].embed_dropout: must be a number from 0 to below 1, not '1'"
        ),
        Refusal(
            "d_model: 16",
            "d_model: 16\n    residual_dropout: -0.1",
            "x.yaml:15:23: models[0].residual_dropout: must be a number from 0 to below 1, not '-0.1'"
        ),
        Refusal(
            "d_model: 16",
            "d_model: 16\n    norm_epsilon: 0",
            "x.yaml:15:19: models[0].norm_epsilon: must be a number above 0 and at most 1, not '0'"
        ),
        Refusal(
            "vocab_size: 64",
            "vocab_size: 64\n  data_seed: 007",
            "x.yaml:5:14: task.data_seed: must be an integer from 0 to 18446744073709551615, not '007'"
        ),
        Refusal(
            "vocab_size: 64",
            "vocab_size: 64\n  data_seed: 00",
            "x.yaml:5:14: task.data_seed: must be an integer from 0 to 18446744073709551615, not '00'"
        ),
        Refusal(
            "d_model: 16",
            "d_model: 16\n    positions: rope",
            "x.yaml:15:16: models[0].positions: must be one of none, learned, not 'rope'"
        ),
        Refusal(
            "d_model: 16",
            "d_model: 16\n    block: mamba\n    state_mixer: mlp",
            "x.yaml:16:18: models[0].state_mixer: a mamba block has no state mixer; leave the key out or set block: "
                + "transformer"
        ),
        Refusal(
            "d_model: 16",
            "d_model: 16\n    block: mamba\n    residual_dropout: [0, 0.1]",
            "x.yaml:16:27: models[0].residual_dropout[1]: a mamba block has no residual dropout; leave the key out or set "
                + "block: transformer"
        ),
        Refusal(
            "[base-conv, {mixer: attention, heads: 2}]",
            "mamba\n    residual_dropout: 0.1",
            "x.yaml:16:23: models[0].residual_dropout: a mamba block has no residual dropout; leave the key out or set "
                + "block: transformer"
        ),
        Refusal(
            "d_model: 16",
            "d_model: 16\n    norm: rmsnorm",
            "x.yaml:15:11: models[0].norm: must be one of layer, rms, not 'rmsnorm'"
        ),
        Refusal(
            "name: second",
            "name: first",
            "x.yaml:16:11: models[1].name: there are two models 'first' (first in line 13); rename one"
        ),
        Refusal(
            "models:",
            "control: {model: frist, minimum_accuracy: 0.9}\nmodels:",
            "x.yaml:12:18: control.model: there is no model 'frist' in this suite; did you mean 'first'?"
        ),
        Refusal(
            "models:",
            "control: {model: first, minimum_accuracy: 99}\nmodels:",
            "x.yaml:12:43: control.minimum_accuracy: must be a number from 0 to 1, not '99'"
        ),
        Refusal(
            "models:",
            "control: {model: first}\nmodels:",
            "x.yaml:12:10: control: the key 'minimum_accuracy' is missing"
        ),
    ]

    static let layerRefusals = [
        Refusal(
            "[base-conv, {mixer: attention",
            "[base-cnov, {mixer: attention",
            "x.yaml:15:14: models[0].layers[0]: there is no mixer 'base-cnov'; did you mean 'base-conv'?"
        ),
        Refusal(
            "mixer: attention,",
            "mixer: atention,",
            "x.yaml:15:33: models[0].layers[1].mixer: there is no mixer 'atention'; did you mean 'attention'?"
        ),
        Refusal(
            "mixer: attention, heads: 2",
            "mixer: quux",
            "x.yaml:15:33: models[0].layers[1].mixer: there is no mixer 'quux'; there are attention, sliding-window, "
                + "linear-attention, base-conv, gated-conv, mamba, taylor-linear-attention"
        ),
        Refusal(
            "mixer: attention, heads: 2",
            "mixer: based",
            "x.yaml:15:33: models[0].layers[1].mixer: 'based' is a preset, a whole stack of layers; write layers: based"
        ),
        Refusal(
            "heads: 2",
            "heads: 3",
            "x.yaml:15:51: models[0].layers[1].heads: heads must divide d_model: 16 is not a multiple of 3"
        ),
        Refusal(
            "mixer: attention, heads: 2",
            "mixer: sliding-window, window: 0",
            "x.yaml:15:57: models[0].layers[1].window: must be an integer from 1 to 1048576, not '0'"
        ),
        Refusal(
            "mixer: attention, heads: 2",
            "mixer: sliding-window, heads: 16, rope: true",
            "x.yaml:15:66: models[0].layers[1].rope: rope turns pairs of numbers, so d_model / heads must be even; it is 1"
        ),
        Refusal(
            "mixer: attention, heads: 2",
            "mixer: gated-conv, kernel_size: long",
            "x.yaml:15:58: models[0].layers[1].kernel_size: must be an integer from 1 to 256, not 'long'"
        ),
        Refusal(
            "mixer: attention, heads: 2",
            "mixer: linear-attention, feature_map: elu",
            "x.yaml:15:64: models[0].layers[1].feature_map: must be one of taylor-2, elu+1, relu, identity, not 'elu'; "
                + "did you mean 'elu+1'?"
        ),
        Refusal(
            "mixer: attention, heads: 2",
            "mixer: taylor-linear-attention, feature_map: relu",
            "x.yaml:15:58: models[0].layers[1].feature_map: unknown key; did you mean 'feature_dim'?"
        ),
        Refusal(
            "mixer: attention, heads: 2",
            "mixer: base-conv, kernel_size: lon",
            "x.yaml:15:57: models[0].layers[1].kernel_size: must be an integer from 1 to 256, or long, not 'lon'; did you "
                + "mean 'long'?"
        ),
        Refusal(
            "heads: 2",
            "dropout: 1",
            "x.yaml:15:53: models[0].layers[1].dropout: must be a number from 0.0 to 0.99, not '1'"
        ),
        Refusal(
            "[base-conv, {mixer: attention, heads: 2}]",
            "[]",
            "x.yaml:15:13: models[0].layers: is an empty list; give at least one of mixers"
        ),
        Refusal(
            "[base-conv, {mixer: attention, heads: 2}]",
            "bassed",
            "x.yaml:15:13: models[0].layers: there is no preset 'bassed'; did you mean 'based'?"
        ),
        Refusal(
            "[base-conv, {mixer: attention, heads: 2}]",
            "taylor-linear-attention",
            "x.yaml:15:13: models[0].layers: 'taylor-linear-attention' is a mixer, not a preset; write it as a list, "
                + "[taylor-linear-attention]"
        ),
        Refusal(
            "[base-conv, {mixer: attention, heads: 2}]",
            "{preset: based, featuredim: 8}",
            "x.yaml:15:29: models[0].layers.featuredim: unknown key; did you mean 'feature_dim'?"
        ),
        Refusal(
            "[base-conv, {mixer: attention, heads: 2}]",
            "{preset: base-conv, kernel_size: 8}",
            "x.yaml:15:33: models[0].layers.kernel_size: unknown key; base-conv has no knobs"
        ),
        Refusal(
            "[base-conv, {mixer: attention, heads: 2}]",
            "{mixer: attention}",
            "x.yaml:15:13: models[0].layers: must be a list of mixers, a preset's name, or {preset: NAME}; the key "
                + "'preset' is missing"
        ),
        Refusal(
            "{mixer: attention, heads: 2}",
            "{preset: based}",
            "x.yaml:15:25: models[0].layers[1]: a preset stands for all layers: write layers: {preset: NAME}, without a "
                + "list"
        ),
        Refusal(
            "[base-conv, {mixer: attention, heads: 2}]",
            "{preset: attention, heads: [2, 5]}",
            "x.yaml:15:44: models[0].layers.heads[1]: heads must divide d_model: 16 is not a multiple of 5"
        ),
    ]

    static let gridRefusals = [
        Refusal(
            "[0.01, 0.001]",
            "[]",
            "x.yaml:11:18: training.learning_rate: is an empty list, so there would be no run; give a value or leave the "
                + "key out"
        ),
        Refusal(
            "feature_dim: [4, 8]",
            "feature_dim: []",
            "x.yaml:21:22: models[1].layers[1].feature_dim: is an empty list, so there would be no run; give a value or "
                + "leave the key out"
        ),
        Refusal(
            "[0.01, 0.001]",
            "[0.01, 1e-2]",
            "x.yaml:11:25: training.learning_rate[1]: '1e-2' is there twice (first in line 11); keep one of them"
        ),
        Refusal(
            "d_model: [16, 32]",
            "d_model: [16, 32, 16]",
            "x.yaml:17:23: models[1].d_model[2]: '16' is there twice (first in line 17); keep one of them"
        ),
        Refusal(
            "feature_dim: [4, 8]",
            "feature_dim: [4, 8, 4]",
            "x.yaml:21:29: models[1].layers[1].feature_dim[2]: '4' is there twice (first in line 21); keep one of them"
        ),
        Refusal(
            "epochs: 1",
            "epochs: 1\n  seeds: 100000",
            "x.yaml:9:3: training: the grid of one configuration of a model comes to 200000 runs; a suite may have at most "
                + "100000, so shorten its lists"
        ),
        Refusal(
            "epochs: 1",
            "epochs: 1\n  seeds: 20000",
            "x.yaml:17:5: models[1]: the grid of this model comes to 160000 runs, the models before it to 40000; a suite "
                + "may have at most 100000, so shorten its lists"
        ),
        Refusal(
            "  - name: first",
            "  - []\n  - name: first",
            "x.yaml:13:5: models[0]: must be a mapping with name, d_model, layers, block, state_mixer, positions, "
                + "embed_dropout, residual_dropout, norm, norm_epsilon, init, not a list"
        ),
    ]

    static let taskRefusals = [
        Refusal(
            "name: mqar",
            "name: mqra",
            "x.yaml:3:9: task.name: must be mqar, not 'mqra'; did you mean 'mqar'?"
        ),
        Refusal(
            "vocab_size: 64",
            "vocab_size: 63",
            "x.yaml:4:15: task.vocab_size: vocab_size must be even (half keys, half values): 63 is odd"
        ),
        Refusal(
            "sequence_length: 32, kv_pairs: 4",
            "sequence_length: 32, kv_pairs: 9",
            "x.yaml:5:43: task.train[0].kv_pairs: 4 × kv_pairs ≤ sequence_length fails: 4 × 9 = 36 > 32"
        ),
        Refusal(
            "sequence_length: 64, kv_pairs: 8",
            "sequence_length: 63, kv_pairs: 8",
            "x.yaml:7:78: task.test[1].sequence_length: sequence_length must be even (slots of two tokens): 63 is odd"
        ),
        Refusal(
            "validation: [{sequence_length: 32, kv_pairs: 4, examples: 10}]",
            "validation: []",
            "x.yaml:6:15: task.validation: is an empty list; give at least one of segments, such as "
                + "{sequence_length: 64, kv_pairs: 8, examples: 1000}"
        ),
        Refusal(
            "vocab_size: 64",
            "vocab_size: 64\n  fillers: none",
            "x.yaml:5:12: task.fillers: must be one of any, disjoint, not 'none'"
        ),
        Refusal(
            "vocab_size: 64",
            "vocab_size: 64\n  batch_size: 0",
            "x.yaml:5:15: task.batch_size: must be an integer from 1 to 1048576, not '0'"
        ),
    ]
}
