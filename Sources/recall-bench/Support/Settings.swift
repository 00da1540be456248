import RecallKernels
import RecallModels
import RecallSuite
import RecallTraining

/// A setting that suites may give, with what it may be and what it means: for `models` and `suites`.
struct Setting {
    let key: String
    let values: String
    let defaultValue: String?
    let meaning: String

    init(_ key: String, _ values: String, default defaultValue: String? = nil, _ meaning: String) {
        (self.key, self.values, self.defaultValue, self.meaning) = (key, values, defaultValue, meaning)
    }

    init(_ knob: Knob) {
        self.init(knob.name, knob.expectation, default: knob.defaultValue.description, knob.summary)
    }

    var line: (name: String, text: String) {
        let standard = defaultValue.map { "; default \($0)" } ?? ""
        return (key, "\(values)\(standard): \(meaning)")
    }

    private static func words<Choice: CaseIterable & RawRepresentable>(
        _: Choice.Type
    ) -> String where Choice.RawValue == String {
        Choice.allCases.map(\.rawValue).joined(separator: " | ")
    }

    /// "0.1; 0.0 in block: mamba".
    static let embedDropoutDefaults: String = {
        let standard = ModelConfig(dModel: 1, layers: []).embedDropout
        let others = BlockKind.allCases.filter { $0.defaultEmbedDropout != standard }
        return (["\(standard)"] + others.map { "\($0.defaultEmbedDropout) in block: \($0.rawValue)" })
            .joined(separator: "; ")
    }()

    /// What every model has besides its layers.
    static let ofModels: [Setting] = {
        let model = ModelConfig(dModel: 1, layers: [])
        return [
            Setting("d_model", "an integer from 1", "D, the width of the residual stream; required"),
            Setting(
                "layers",
                "a preset, {preset: NAME, knobs} or a list of mixers",
                "the sequence mixers; required"
            ),
            Setting(
                "block",
                words(BlockKind.self),
                default: model.block.rawValue,
                "norm, mixer, norm, state mixer; or norm and mixer alone, as Mamba's own"
            ),
            Setting(
                "state_mixer",
                words(StateMixerKind.self),
                default: model.stateMixer.rawValue,
                "what follows a mixer in a transformer block"
            ),
            Setting(
                "positions",
                words(PositionKind.self),
                default: model.positions.rawValue,
                "vectors added to the embedding"
            ),
            Setting(
                "embed_dropout",
                "a number from 0 to 0.99",
                default: embedDropoutDefaults,
                "on the embedding, in training"
            ),
            Setting(
                "residual_dropout",
                "a number from 0 to 0.99",
                default: "\(model.residualDropout)",
                "on what layers add to the residual stream, in training"
            ),
            Setting(
                "norm",
                words(NormChoice.self),
                default: model.norm.rawValue,
                "LayerNorm or RMSNorm in transformer blocks and at the end; a mamba block has RMSNorm, whatever follows it"
            ),
            Setting("norm_epsilon", "a number above 0", default: "\(model.normEpsilon)", "of every norm"),
            Setting(
                "init",
                words(InitialisationKind.self),
                default: model.initialisation.rawValue,
                "how parameters start: as the mixers' papers have it, or as the published harness does"
            ),
        ]
    }()

    /// What `training` may hold.
    static let ofTraining: [Setting] = {
        let training = TrainingConfig(epochs: 1, batchSize: 1, learningRate: 1)
        return [
            Setting("epochs", "an integer from 1", "passes over the training split; required"),
            Setting("batch_size", "an integer from 1", "examples a step; required"),
            Setting(
                "learning_rate",
                "a number above 0, or {search: {from, to, start: \(LearningRateSearch.defaultStart), "
                    + "resolution: \(LearningRateSearch.defaultResolution), extend: \(LearningRateSearch.defaultExtend), "
                    + "selection: \(SeedSelection.allSeeds.rawValue)}}",
                "of AdamW, at the start; searched from `start` rates between the ends, until the best's neighbours are "
                    + "within `resolution` decades, up to `extend` decades beyond the ends, and chosen by the mean over "
                    + "all seeds (`selection: \(SeedSelection.firstSeed.rawValue)`: by the first); required"
            ),
            Setting(
                "weight_decay",
                "a number from 0",
                default: "\(training.weightDecay)",
                "decoupled, as AdamW's"
            ),
            Setting(
                "decay",
                words(DecayKind.self),
                default: training.decay.rawValue,
                "whether biases, norm gains, A_log, D and the dt bias are exempt from it"
            ),
            Setting(
                "schedule",
                words(ScheduleKind.self),
                default: training.schedule.rawValue,
                "how the learning rate falls"
            ),
            Setting(
                "order",
                words(OrderKind.self),
                default: training.order.rawValue,
                "batches in the published order, or shuffled every epoch"
            ),
            Setting(
                "data",
                words(DataKind.self),
                default: training.data.rawValue,
                "the same examples every epoch, or new ones"
            ),
            Setting(
                "seeds",
                "an integer from 1",
                default: "1",
                "runs a point, of different initialisation, dropout and order; of a search, at the best rate and its "
                    + "neighbours"
            ),
            Setting(
                "data_seeds",
                "an integer from 1",
                default: "1",
                "runs a point, of different data, with the first of those seeds"
            ),
            Setting(
                "stop_at_accuracy",
                "a number from 0 to 1",
                default: "never",
                "ends a run after an epoch whose validation accuracy is above"
            ),
            Setting(
                "precision",
                words(Arithmetic.self),
                default: training.precision.rawValue,
                "of storage and products"
            ),
        ]
    }()
}
