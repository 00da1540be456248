import RecallData
import RecallModels
import RecallSuite

/// Columns that are made from a run's stored specification: with those that the database has of it they tell any two
/// specifications apart.
public enum SpecificationColumns {
    private static let columns: [(name: String, field: @Sendable (RunSpec) -> CSVField)] = [
        ("order", { .text($0.training.order.rawValue) }),
        ("data", { .text($0.training.data.rawValue) }),
        ("batch_size", { .integer($0.training.batchSize) }),
        ("schedule", { .text($0.training.schedule.rawValue) }),
        ("decay", { .text($0.training.decay.rawValue) }),
        ("weight_decay", { .number($0.training.weightDecay) }),
        ("stop_at_accuracy", { .number($0.training.stopAtAccuracy) }),
        ("planned_epochs", { .integer($0.training.epochs) }),
        ("train_segments", { .text(text(of: $0.task.train)) }),
        ("validation_segments", { .text(text(of: $0.task.validation)) }),
        ("test_segments", { .text(text(of: $0.task.test)) }),
        ("random_non_queries", { .flag($0.task.randomNonQueries) }),
        ("fillers", { .text($0.task.fillers.rawValue) }),
        ("power_a", { .number($0.task.powerA) }),
    ]

    public static let names = columns.map(\.name) + SettingColumns.names

    /// In the order of `names`.
    public static func fields(of spec: RunSpec) -> [CSVField] {
        columns.map { $0.field(spec) } + SettingColumns.fields(of: spec.model)
    }

    /// "64/8/1000;128/16/500": the length, the pairs and the examples of each segment.
    public static func text(of segments: [Segment]) -> String {
        segments.map { "\($0.sequenceLength)/\($0.kvPairs)/\($0.examples)" }.joined(separator: ";")
    }
}

/// A column `setting_NAME` for every setting of every registered mixer, each name once, in the registry's order.
public enum SettingColumns {
    private static let settings: [String] = {
        var seen: Set<String> = []
        return MixerRegistry.mixers.flatMap(\.knobs).map(\.name).filter { seen.insert($0).inserted }
    }()

    public static let names = settings.map { "setting_\($0)" }

    /// In the order of `names`: the values of the layers that have the setting, first layer first, joined by `;`; missing
    /// where no layer has it.
    public static func fields(of model: ModelConfig) -> [CSVField] {
        settings.map { name in
            let values = model.layers.compactMap { value(of: name, in: $0)?.description }
            return values.isEmpty ? .missing : .text(values.joined(separator: ";"))
        }
    }

    /// Some settings are not stored at their default: they came after runs of their mixer.
    private static func value(of name: String, in layer: LayerConfig) -> KnobValue? {
        if let value = layer.knobs[name] { return value }
        let knob = MixerRegistry.description(of: layer.mixer)?.knobs.first { $0.name == name }
        return knob.flatMap { $0.isLeftOutAtDefault ? $0.defaultValue : nil }
    }
}
