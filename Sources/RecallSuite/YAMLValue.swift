/// A value of a YAML document and the place where it stands.
struct YAMLValue {
    enum Content {
        /// `plain` is false for a quoted scalar or a block of text, which is text whatever it looks like.
        case scalar(String, plain: Bool)
        case list([YAMLValue])
        /// In document order.
        case mapping([YAMLEntry])
    }

    let place: Place
    let content: Content
}

struct YAMLEntry {
    let key: String
    let place: Place
    let value: YAMLValue
}

/// What a scalar is. Stricter than YAML 1.1, where 010 is eight, 1:30 is ninety and `1e-3` is text.
enum YAMLScalar: Equatable {
    case nothing
    case flag(Bool)
    /// yes, no, on, off: booleans to some readers of YAML and text to others.
    case ambiguousFlag
    case integer(Int)
    /// Digits only, but beyond Int.
    case hugeInteger
    case number(Double)
    case text(String)

    init(_ text: String, plain: Bool) {
        guard plain else {
            self = .text(text)
            return
        }
        switch text {
        case "", "~", "null", "Null", "NULL": self = .nothing
        case "true", "True", "TRUE": self = .flag(true)
        case "false", "False", "FALSE": self = .flag(false)
        case "yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF": self = .ambiguousFlag
        case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": self = .number(.infinity)
        case "-.inf", "-.Inf", "-.INF": self = .number(-.infinity)
        case ".nan", ".NaN", ".NAN": self = .number(.nan)
        default: self = Self.numeral(text) ?? .text(text)
        }
    }

    /// An integer without leading zeros, or a decimal number: `5`, `-3`, `0.5`, `.5`, `1e-3`; nil for all else.
    private static func numeral(_ text: String) -> YAMLScalar? {
        var rest = Array(text.utf8)[...]
        func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }
        func takeDigits() -> ArraySlice<UInt8> {
            let digits = rest.prefix(while: isDigit)
            rest = rest.dropFirst(digits.count)
            return digits
        }
        func take(_ letters: String) -> Bool {
            guard let first = rest.first, letters.utf8.contains(first) else { return false }
            rest = rest.dropFirst()
            return true
        }
        _ = take("+-")
        let whole = takeDigits()
        if whole.count > 1, whole.first == 48 { return nil }
        if rest.isEmpty, !whole.isEmpty { return Int(text).map(YAMLScalar.integer) ?? .hugeInteger }
        let fraction = take(".") ? takeDigits() : []
        guard !whole.isEmpty || !fraction.isEmpty else { return nil }
        if take("eE") {
            _ = take("+-")
            if takeDigits().isEmpty { return nil }
        }
        guard rest.isEmpty, let number = Double(text.hasSuffix(".") ? text + "0" : text) else { return nil }
        return .number(number)
    }
}
