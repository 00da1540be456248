import RecallModels

/// An option's value that cannot be understood. Exit status 64.
public struct OptionError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Such as `--only`.
    public let option: String
    public let message: String

    public var description: String { oneLine("\(option): \(message)") }

    public init(option: String, message: String) {
        (self.option, self.message) = (option, message)
    }
}

/// `--only KEY=VALUE,…`: which of a suite's runs to do.
///
/// A run must meet every key that is given, with any of the values given for it; commas and repeating the option do
/// the same. Numbers compare as numbers: 1e-2 is 0.01. The keys are `Key`'s and every setting of a model or of one of its
/// layers; `task` takes a task's id, the name of its kind, which all tasks of that kind have, or the beginning of its
/// hash. In a text `*` stands for any characters and `?` for one.
public struct RunFilter: Sendable {
    public enum Key: String, CaseIterable, Sendable {
        case model, task
        case dModel = "d_model"
        case learningRate = "learning_rate"
        case seed
    }

    private enum Value: Hashable {
        case text(String)
        case integer(UInt64)
        case number(Double)
    }

    /// What a condition is about.
    private enum Field: Hashable {
        case key(Key)
        case setting(String)

        init?(_ name: String) {
            if let key = Key(rawValue: name) {
                self = .key(key)
            } else if ModelConfig.settingNames.contains(name) {
                self = .setting(name)
            } else {
                return nil
            }
        }

        var name: String {
            switch self {
            case .key(let key): key.rawValue
            case .setting(let name): name
            }
        }
    }

    private var conditions: [Field: [(value: Value, given: String)]] = [:]
    /// Those with conditions, in the order given.
    private var fields: [Field] = []

    private static let keysInWords =
        listed(Key.allCases.map(\.rawValue)) + " or a setting of models and mixers, such as feature_dim"

    /// Takes every run.
    public init() {}

    /// - Parameter options: the option's values, one for each time it was given.
    /// - Throws: `OptionError` for an unknown key, no value, or a value that its key does not take.
    public init(_ options: [String]) throws(OptionError) {
        for option in options {
            for part in option.split(separator: ",", omittingEmptySubsequences: false) { try add(String(part)) }
        }
    }

    private mutating func add(_ condition: String) throws(OptionError) {
        let halves = condition.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = Self.trimmed(halves[0])
        guard halves.count == 2 else {
            throw Self.error(
                "\(quoted(condition)) is no condition; write KEY=VALUE, with a key of \(Self.keysInWords)"
            )
        }
        guard let field = Field(name) else {
            let near = suggestion(for: name, in: Key.allCases.map(\.rawValue) + ModelConfig.settingNames)
            throw Self.error(
                "there is no key \(quoted(name))" + (near.isEmpty ? "; there are \(Self.keysInWords)" : near)
            )
        }
        let text = Self.trimmed(halves[1])
        if text.isEmpty { throw Self.error("\(name) has no value; write \(name)=VALUE") }
        if !fields.contains(field) { fields.append(field) }
        conditions[field, default: []].append((try Self.value(text, for: field), text))
    }

    private static func value(_ text: String, for field: Field) throws(OptionError) -> Value {
        guard case .key(let key) = field else { return .text(text) }
        switch key {
        case .model, .task: return .text(text)
        case .learningRate:
            guard let number = Double(text), number.isFinite else {
                throw error("learning_rate must be a number, not \(quoted(text))")
            }
            return .number(number)
        case .dModel, .seed:
            if let number = UInt64(text) { return .integer(number) }
            // 1e2 and 64.0 are whole numbers too; 2^53 is where doubles stop telling them apart.
            if let number = Double(text), number >= 0, number <= 0x1p53, number.rounded() == number {
                return .integer(UInt64(number))
            }
            throw error("\(key.rawValue) must be a whole number, not \(quoted(text))")
        }
    }

    private static func trimmed(_ text: Substring) -> String {
        String(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }

    private static func error(_ message: String) -> OptionError {
        OptionError(option: "--only", message: message)
    }

    public func matches(_ run: PlannedRun) -> Bool { matches(run, but: []) }

    /// Whether a run meets the conditions of all keys but some.
    private func matches(_ run: PlannedRun, but ignored: Set<Field>) -> Bool {
        conditions.allSatisfy { field, values in
            ignored.contains(field) || values.contains { Self.meets(run, field, $0.value) }
        }
    }

    /// The most learning rates of a point that match; nil where any does.
    public var mostRates: Int? { conditions[.key(.learningRate)].map { Set($0.map(\.value)).count } }

    private static func meets(_ run: PlannedRun, _ field: Field, _ value: Value) -> Bool {
        switch (field, value) {
        case (.key(let key), _): meets(run, key, value)
        case (.setting(let name), .text(let text)):
            run.spec.model.values(of: name).contains { isEqual($0, text) }
        default: false
        }
    }

    private static func isEqual(_ value: KnobValue, _ text: String) -> Bool {
        switch value {
        case .integer(let integer):
            if let given = Double(text) { return given == Double(integer) }
        case .number(let number):
            if let given = Double(text) { return given == number || abs(given - number) <= 1e-7 * abs(number) }
        case .flag, .text: break
        }
        return isEqual(value.description, text)
    }

    /// A name that has a star in it means itself, too.
    private static func isEqual(_ name: String, _ given: String) -> Bool {
        name == given || GlobPattern(given).matches(name)
    }

    private static func meets(_ run: PlannedRun, _ key: Key, _ value: Value) -> Bool {
        switch (key, value) {
        case (.model, .text(let name)): isEqual(run.model, name)
        case (.task, .text(let name)):
            isEqual(run.task, name) || isEqual(Suite.taskName, name)
                || (name.count >= 4 && run.taskHash.hasPrefix(name))
        case (.dModel, .integer(let width)): UInt64(exactly: run.spec.model.dModel) == width
        case (.seed, .integer(let seed)): run.spec.seed == seed
        case (.learningRate, .number(let rate)):
            // Equal to seven digits, so that what a table prints can be given back.
            abs(run.spec.training.learningRate - rate) <= 1e-7 * abs(rate)
        default: false
        }
    }

    /// The runs that match, in their order; with a search there may be none so far.
    ///
    /// - Parameter reach: what a search may come to beside the runs; nil where these are all.
    /// - Throws: `OptionError` for a value that no run has or can have, with the nearest that one has, and where nothing
    ///   can match all conditions together.
    public func select(
        from runs: [PlannedRun],
        reach: SearchReach? = nil
    ) throws(OptionError) -> [PlannedRun] {
        for field in fields {
            for (value, given) in conditions[field] ?? []
            where !runs.contains(where: { Self.meets($0, field, value) })
                && reach.map({ !Self.isReached(value, of: field, $0) }) ?? true
            {
                throw Self.error(Self.noneHas(given, field, runs, reach))
            }
        }
        let selected = runs.filter(matches)
        // The search decides which rates a point has, and which has the other seeds.
        let open: Set<Field> = reach == nil ? [] : [.key(.learningRate), .key(.seed)]
        if !runs.isEmpty, !runs.contains(where: { matches($0, but: open) }) {
            throw Self.error("each condition has runs, but no run meets all of them")
        }
        return selected
    }

    private static func isReached(_ value: Value, of field: Field, _ reach: SearchReach) -> Bool {
        guard case .key(let key) = field else { return false }
        return switch (key, value) {
        case (.seed, .integer(let seed)): reach.has(seed: seed)
        case (.learningRate, .number(let rate)): reach.rates.contains(rate)
        default: false
        }
    }

    private static func noneHas(
        _ given: String,
        _ field: Field,
        _ runs: [PlannedRun],
        _ reach: SearchReach?
    ) -> String {
        if let reach {
            let (last, rates) = (reach.firstSeed &+ UInt64(reach.seeds - 1), reach.rates)
            switch field {
            case .key(.seed):
                return "no run has seed \(quoted(given)); there are \(reach.firstSeed)"
                    + (reach.seeds > 1 ? " to \(last)" : "")
            case .key(.learningRate):
                return
                    "no run can have learning_rate \(quoted(given)); they are searched from \(rates.lowerBound) to "
                    + "\(rates.upperBound)"
            default: break
            }
        }
        var present: [String] = []
        var seen: Set<String> = []
        for value in runs.flatMap({ values(of: field, $0) }) where seen.insert(value).inserted {
            present.append(value)
        }
        let none = "no run has \(field.name) \(quoted(given))"
        if present.isEmpty { return "no model of these runs has the setting \(field.name)" }
        // A number that is a little different is not a misspelt one.
        let words = present.filter { Double($0) == nil }
        if let near = nearest(given, in: words) {
            return "\(none); did you mean \(ShellCommand.inQuotes(near))?"
        }
        let shown = present.prefix(12).joined(separator: ", ") + (present.count > 12 ? ", …" : "")
        return "\(none); there are \(shown)"
    }

    /// What a run has of what a condition is about, as messages show it.
    private static func values(of field: Field, _ run: PlannedRun) -> [String] {
        switch field {
        case .key(.model): [run.model]
        case .key(.task): [run.task]
        case .key(.dModel): ["\(run.spec.model.dModel)"]
        case .key(.learningRate): ["\(run.spec.training.learningRate)"]
        case .key(.seed): ["\(run.spec.seed)"]
        case .setting(let name): run.spec.model.values(of: name).map(\.description)
        }
    }
}
