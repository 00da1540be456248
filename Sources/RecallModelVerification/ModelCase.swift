import RecallData
import RecallKernels
import RecallModels
import RecallTraining
import RecallVerification

/// A small model of two layers of one mixer, trained some steps on a device and on the CPU from the same seed.
public struct ModelCase: Sendable {
    /// The mixer's name.
    public let mixer: String
    /// Its knobs that are not at their default; empty for none.
    public let knobs: [String: KnobValue]
    public let config: ModelConfig

    /// Steps that each run takes.
    public static let steps = 50
    /// V, L, pairs, B and D of all cases: small, and not all multiples of a register's width.
    static let (vocabulary, length, pairs, batch, width) = (64, 40, 4, 12, 24)

    /// Every registered mixer with its defaults, and those settings of them that run other kernels.
    public static let all: [ModelCase] = MixerRegistry.mixers.flatMap { mixer in
        ([[:]] + variants(of: mixer.name)).enumerated().map { turn, knobs in
            ModelCase(mixer.name, knobs, turn: turn)
        }
    }

    /// Of a mixer that is known here; one that is not has its defaults.
    private static func variants(of mixer: String) -> [[String: KnobValue]] {
        switch mixer {
        case "attention":
            [["heads": .integer(2), "rope": .flag(true)], ["dropout": .number(0.2)]]
        case "sliding-window": [["window": .integer(9), "heads": .integer(2)]]
        case "linear-attention":
            // The identity's denominator comes near zero in training, and then a rounding decides the loss.
            FeatureMap.allCases.filter { $0 != .identity }.map {
                ["feature_map": .text($0.rawValue), "feature_dim": .integer(5)]
            }
        case "base-conv": [["kernel_size": .text("long")], ["kernel_size": .integer(7)]]
        default: []
        }
    }

    /// State mixers, norms and positions take turns.
    private init(_ mixer: String, _ knobs: [String: KnobValue], turn: Int) {
        let layer = LayerConfig(mixer: mixer, knobs: knobs)
        let config = ModelConfig(
            dModel: Self.width,
            layers: [layer, layer],
            stateMixer: [.identity, .mlp, .swiglu, .identity, .none][turn % 5],
            positions: turn % 2 == 1 ? .learned : .none,
            residualDropout: 0.1,
            // RMSNorm has no bias that could keep a normaliser away from zero.
            norm: turn % 3 == 2 && mixer != "linear-attention" ? .rms : .layer
        )
        guard let resolved = try? config.resolved() else {
            preconditionFailure("\(mixer) refuses \(knobs) at width \(Self.width)")
        }
        (self.mixer, self.knobs, self.config) = (mixer, knobs, resolved)
    }

    public var name: String { "model \(mixer)" }

    public var sizes: [(key: String, value: Int)] {
        [
            ("batch", Self.batch), ("sequence_length", Self.length), ("kv_pairs", Self.pairs),
            ("d_model", Self.width), ("vocab_size", Self.vocabulary),
        ]
    }

    /// The shape in words.
    public var shape: String {
        let knobs = knobs.sorted { $0.key < $1.key }.map { ", \($0.key) \($0.value)" }.joined()
        return "B \(Self.batch) L \(Self.length) D \(Self.width) V \(Self.vocabulary)" + knobs
    }
}

extension ModelCase: CustomStringConvertible {
    public var description: String { "\(name) \(shape)" }
}

/// What a model's training on a device came to.
public struct ModelVerdict: Sendable {
    public let modelCase: ModelCase
    /// The largest relative deviation of a step's loss from the CPU's, of all steps; NaN where one was not a number.
    public let deviation: Double
    /// What that was allowed to be.
    public let bound: Double
    /// The step of the largest deviation, measured by its bound; from 1.
    public let step: Int
    /// Whether the same run twice on the device gave the same bits, in every loss and every parameter.
    public let hasSameBits: Bool
    /// Everything that is wrong, a line each.
    public let problems: [String]
    /// A step's seconds of each run on the device.
    public let secondsPerStep: [Double]

    public var hasPassed: Bool { problems.isEmpty }
}
