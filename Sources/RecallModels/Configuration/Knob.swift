/// The value of one of a mixer's settings.
public enum KnobValue: Hashable, Sendable {
    case integer(Int)
    case number(Double)
    case flag(Bool)
    case text(String)
}

extension KnobValue: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let value = try? container.decode(Bool.self) {
            self = .flag(value)
        } else if let value = try? container.decode(Int.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else {
            self = .text(try container.decode(String.self))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .integer(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .flag(let value): try container.encode(value)
        case .text(let value): try container.encode(value)
        }
    }
}

extension KnobValue: CustomStringConvertible {
    public var description: String {
        switch self {
        case .integer(let value): "\(value)"
        case .number(let value): "\(value)"
        case .flag(let value): "\(value)"
        case .text(let value): value
        }
    }
}

/// One setting of a mixer, as a suite may give it: its name, what it may be, its default, and what it means.
public struct Knob: Sendable {
    /// What values a knob takes.
    public enum Kind: Sendable, Equatable {
        case integer(ClosedRange<Int>)
        /// A number; the upper bound itself is allowed.
        case number(ClosedRange<Double>)
        case flag
        case choice([String])
        /// An integer or one of some words: `kernel_size: 3 | long`.
        case integerOrChoice(ClosedRange<Int>, [String])
    }

    /// The key in a suite, snake_case.
    public let name: String
    public let kind: Kind
    public let defaultValue: KnobValue
    /// One line for `recall-bench models NAME`.
    public let summary: String
    /// Whether the canonical form of a layer leaves the knob out at its default. So it is for a knob that a mixer was
    /// given after runs of it were stored: they keep their identity.
    public let isLeftOutAtDefault: Bool

    public init(
        _ name: String,
        _ kind: Kind,
        default defaultValue: KnobValue,
        isLeftOutAtDefault: Bool = false,
        _ summary: String
    ) {
        (self.name, self.kind, self.defaultValue, self.summary) = (name, kind, defaultValue, summary)
        self.isLeftOutAtDefault = isLeftOutAtDefault
    }

    /// What the knob takes, in words: "an integer from 1 to 4096", "one of taylor-2, elu+1".
    public var expectation: String {
        switch kind {
        case .integer(let range): "an integer from \(range.lowerBound) to \(range.upperBound)"
        case .number(let range): "a number from \(range.lowerBound) to \(range.upperBound)"
        case .flag: "true or false"
        case .choice(let words): "one of " + words.joined(separator: ", ")
        case .integerOrChoice(let range, let words):
            "an integer from \(range.lowerBound) to \(range.upperBound), or " + words.joined(separator: ", ")
        }
    }

    /// The value as this knob keeps it (an integer becomes a number where a number is asked for), or nil where the
    /// knob does not take it.
    public func accepts(_ value: KnobValue) -> KnobValue? {
        switch (kind, value) {
        case (.integer(let range), .integer(let integer)) where range.contains(integer): value
        // -0.0 is the same number and would be another model.
        case (.number(let range), .number(let number)) where range.contains(number):
            .number(number == 0 ? 0 : number)
        case (.number(let range), .integer(let integer)) where range.contains(Double(integer)):
            .number(Double(integer))
        case (.flag, .flag): value
        case (.choice(let words), .text(let word)) where words.contains(word): value
        case (.integerOrChoice(let range, _), .integer(let integer)) where range.contains(integer): value
        case (.integerOrChoice(_, let words), .text(let word)) where words.contains(word): value
        default: nil
        }
    }
}

/// A mixer's setting that is impossible with the others, found before anything is built.
public struct ConfigurationError: Error, Equatable, Sendable {
    /// The key to blame: a knob's name, `d_model`, `layers` …
    public let key: String
    /// What is wrong, with the numbers in it, and what would do.
    public let message: String

    public init(key: String, message: String) {
        (self.key, self.message) = (key, message)
    }
}
