import RecallData
import RecallModels
import RecallTraining

/// Configurations of models whose recurrent state comes close to target sizes from below.
///
/// The width stays at `baseWidth` and the mixer's own knob is solved for; the width changes only where there is no knob,
/// or where the knob would exceed the sequence, or where even the smallest knob's state is above the target.
public struct StateSizeSweep {
    /// What was chosen for one model and target.
    public struct Choice: Hashable, Sendable {
        public var model: String
        public var target: ByteSize
        public var stateBytes: Int
        public var config: ModelConfig
        /// The knob and its value; nil where only the width was solved for.
        public var knob: String?
    }

    private let base: Suite
    private let presets: [ModelPreset]
    private let targets: [ByteSize]
    private let rates: [Double]?
    private let seeds: Int
    private let dataSeeds: Int

    /// d_model of every configuration that a knob can fit to its target.
    public static let baseWidth = 64
    /// How learning rates are searched where neither the suite nor the caller says: the decade in which these mixers learn
    /// MQAR at such widths, and a decade to either side of it.
    public static let search = LearningRateSearch(from: 2e-3, to: 2e-2, start: 3, resolution: 0.25)
    /// The name that the control has in the sweep's suite.
    public static let controlName = "control"
    /// Widths beyond this are not tried.
    private static let largestWidth = 4096

    /// - Parameters:
    ///   - base: the suite whose tasks and training are taken.
    ///   - rates: learning rates; nil to search them, as the suite does or by `search`.
    public init(
        base: Suite,
        presets: [ModelPreset],
        targets: [ByteSize],
        rates: [Double]?,
        seeds: Int,
        dataSeeds: Int = 1
    ) {
        (self.base, self.presets, self.targets) = (base, presets, targets)
        (self.rates, self.seeds, self.dataSeeds) = (rates, seeds, dataSeeds)
    }

    /// Measures a configuration: (configuration, longest length, longest test length) to bytes.
    public typealias Measure = (ModelConfig, Int, Int) throws -> Int

    /// A configuration for each model and target, targets inner. Targets that come to the same configuration give it once.
    ///
    /// - Throws: `OptionError` for a target below the smallest state that a model can have, or what `measure` throws.
    public func choose(_ measure: Measure) throws -> [Choice] {
        var choices: [Choice] = []
        for preset in presets {
            for target in targets {
                let choice = try choose(preset, target, measure)
                if !choices.contains(where: { $0.model == choice.model && $0.config == choice.config }) {
                    choices.append(choice)
                }
            }
        }
        return choices
    }

    private static let namePrefix = "state-size-"

    private static func description(base: String) -> String {
        "Accuracy against the size of the state, on the task and training of \(base)."
    }

    /// The suite whose task and training a sweep took, by the name and description of the sweep's suite; nil for any other
    /// suite's.
    public static func base(ofSuite name: String, description: String) -> String? {
        guard name.hasPrefix(namePrefix) else { return nil }
        let base = String(name.dropFirst(namePrefix.count))
        return description == Self.description(base: base) ? base : nil
    }

    /// The suite of the sweep: every choice and the control, with the base's tasks and training.
    ///
    /// - Throws: `ConfigurationError` where the control cannot be made.
    public func suite(_ choices: [Choice]) throws -> Suite {
        var models: [SuiteModel] = []
        for preset in presets {
            models.append(
                SuiteModel(
                    name: preset.name,
                    configurations: choices.filter { $0.model == preset.name }.map(\.config)
                )
            )
        }
        let control = try config(Self.attention, width: Self.baseWidth, knob: nil)
        models.append(SuiteModel(name: Self.controlName, configurations: [control]))
        // The base's grid of everything but the learning rate.
        var trainings: [TrainingConfig] = []
        for var training in base.trainings {
            training.learningRate = Self.search.from
            if !trainings.contains(training) { trainings.append(training) }
        }
        if let rates {
            trainings = rates.flatMap { rate in
                trainings.map {
                    var training = $0
                    training.learningRate = rate
                    return training
                }
            }
        }
        var suite = Suite(
            name: Self.namePrefix + base.name,
            description: Self.description(base: base.name),
            tasks: base.tasks,
            models: models,
            trainings: trainings,
            search: rates == nil ? base.search ?? Self.search : nil,
            seeds: seeds,
            dataSeeds: dataSeeds,
            control: SuiteControl(
                model: Self.controlName,
                minimumAccuracy: base.control?.minimumAccuracy ?? 0.99
            )
        )
        suite.path = "the sweep of \(base.path ?? base.name)"
        return suite
    }

    private static var attention: ModelPreset {
        guard let preset = ModelPresets.preset("attention") else {
            preconditionFailure("attention is registered")
        }
        return preset
    }

    // MARK: - Solving

    private var testLength: Int { base.tasks.map(\.task.maximumTestLength).max() ?? 1 }
    private var maximumLength: Int { base.tasks.map(\.task.maximumLength).max() ?? 1 }

    private func choose(_ preset: ModelPreset, _ target: ByteSize, _ measure: Measure) throws -> Choice {
        func state(width: Int, knob: Int?) throws -> Int {
            try measure(try config(preset, width: width, knob: knob), maximumLength, testLength)
        }
        func choice(width: Int, knob: Int?) throws -> Choice {
            Choice(
                model: preset.name,
                target: target,
                stateBytes: try state(width: width, knob: knob),
                config: try config(preset, width: width, knob: knob),
                knob: preset.stateKnob
            )
        }
        guard let range = knobRange(preset) else {
            return try choice(width: try width(preset, target) { try state(width: $0, knob: nil) }, knob: nil)
        }
        if try state(width: Self.baseWidth, knob: range.lowerBound) > target.bytes {
            // Even the smallest knob is too much: a narrower model.
            let narrow = try width(preset, target) { try state(width: $0, knob: range.lowerBound) }
            return try choice(width: narrow, knob: range.lowerBound)
        }
        let knob = try largest(in: range) { try state(width: Self.baseWidth, knob: $0) <= target.bytes }
        guard knob == range.upperBound, preset.stateKnob == "window" else {
            return try choice(width: Self.baseWidth, knob: knob)
        }
        // The window is the whole sequence: only a wider model has more state.
        let wide = try width(preset, target) { try state(width: $0, knob: knob) }
        return try choice(width: wide, knob: knob)
    }

    /// What the knob may be; a window longer than the sequence is none.
    private func knobRange(_ preset: ModelPreset) -> ClosedRange<Int>? {
        guard let name = preset.stateKnob, let knob = preset.knobs.first(where: { $0.name == name }),
            case .integer(let range) = knob.kind
        else { return nil }
        return name == "window" ? 1...testLength : range
    }

    /// The largest width whose state is not above the target: a multiple of 8 from 8 on.
    private func width(
        _ preset: ModelPreset,
        _ target: ByteSize,
        _ state: (Int) throws -> Int
    ) throws -> Int {
        let eights = try largest(in: 0...Self.largestWidth / 8) {
            $0 == 0 ? true : try state(8 * $0) <= target.bytes
        }
        if eights > 0 { return 8 * eights }
        let width = try largest(in: 0...7) { $0 == 0 ? true : try state($0) <= target.bytes }
        guard width > 0 else {
            throw OptionError(
                option: "--sizes",
                message:
                    "\(preset.name) has no configuration with a state of \(target) or less at length \(testLength); "
                    + "its smallest has \(ByteSize(bytes: try state(1)))"
            )
        }
        return width
    }

    /// The largest number of a range that a condition, true up to it and false after, holds for; the first at least.
    private func largest(in range: ClosedRange<Int>, where holds: (Int) throws -> Bool) rethrows -> Int {
        // Doubling first: large values are costly to measure and rarely near the answer.
        var (low, high) = (range.lowerBound, range.lowerBound)
        repeat {
            low = high
            high = min(range.upperBound, max(high + 1, high * 2))
        } while try high > low && holds(high)
        guard high > low else { return low }
        while high - low > 1 {
            let middle = (low + high) / 2
            if try holds(middle) { low = middle } else { high = middle }
        }
        return low
    }

    /// The preset with one knob set and, in what it does not set itself, the base suite's ways with models: its state
    /// mixer, norm, positions and dropouts.
    private func config(_ preset: ModelPreset, width: Int, knob: Int?) throws -> ModelConfig {
        var knobs: [String: KnobValue] = [:]
        if let knob, let name = preset.stateKnob { knobs[name] = .integer(knob) }
        let configurations = base.models.flatMap(\.configurations)
        let like = configurations.first { $0.block == .transformer }
        let isMamba = preset.block == .mamba
        return try ModelConfig(
            dModel: width,
            layers: preset.layers(knobs),
            block: preset.block,
            stateMixer: isMamba ? .none : preset.stateMixer ?? like?.stateMixer ?? .none,
            positions: like?.positions ?? .none,
            embedDropout: configurations.first { $0.block == preset.block }?.embedDropout,
            residualDropout: isMamba ? 0 : like?.residualDropout ?? 0,
            norm: isMamba ? .layer : preset.norm ?? like?.norm ?? .layer,
            normEpsilon: like?.normEpsilon ?? 1e-5,
            initialisation: like?.initialisation ?? .paper
        ).resolved()
    }
}
