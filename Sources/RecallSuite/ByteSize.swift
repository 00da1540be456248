/// A number of bytes as options take it and tables show it, in powers of 1024.
public struct ByteSize: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let bytes: Int

    public init(bytes: Int) {
        self.bytes = bytes
    }

    private static let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]

    /// Reads `4096`, `512 B`, `2KiB`, `1.5 MiB`; the unit's case does not matter.
    ///
    /// - Throws: `OptionError` for text that is no size, less than one byte, not a whole number of bytes, or beyond Int.
    public init(_ text: String, option: String = "--sizes") throws(OptionError) {
        func error(_ message: String) -> OptionError { OptionError(option: option, message: message) }
        let number = text.drop { $0 == " " }.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let unit = text.drop { $0 == " " }.dropFirst(number.count).filter { $0 != " " }
        let given = unit.isEmpty ? "B" : String(unit)
        guard let value = Double(number) else {
            throw error("\(quoted(text)) is no size; write bytes or a unit, such as 4096, 2KiB, 1MiB")
        }
        guard let power = Self.units.firstIndex(where: { $0.lowercased() == given.lowercased() }) else {
            let binary = given.lowercased().hasSuffix("b") && given.count == 2 || given.count == 1
            let meant = Self.units.first {
                binary && $0.lowercased().first == given.lowercased().first && $0 != "B"
            }
            throw error(
                "unknown unit in \(quoted(text)); "
                    + (meant.map { "write \(number)\($0), in powers of 1024" }
                        ?? "there are \(listed(Self.units))")
            )
        }
        let bytes = value * Double(1 << (10 * power))
        guard bytes >= 1 else { throw error("\(quoted(text)) is less than one byte") }
        guard bytes.rounded() == bytes else { throw error("\(quoted(text)) is not a whole number of bytes") }
        guard bytes < 0x1p63 else { throw error("\(quoted(text)) is too large") }
        self.bytes = Int(bytes)
    }

    /// `512 B`, `4.0 KiB`, `12.2 KiB`: one decimal above bytes, the nearest; of two as near the even one, as printf has it.
    public var description: String {
        guard bytes.magnitude >= 1024 else { return "\(bytes) B" }
        var (power, shown) = (1, tenths(1))
        // What would round to 1024.0 of a unit is of the next one.
        while power + 1 < Self.units.count, shown >= 10_240 {
            power += 1
            shown = tenths(power)
        }
        return "\(bytes < 0 ? "-" : "")\(shown / 10).\(shown % 10) \(Self.units[power])"
    }

    /// The magnitude in tenths of a unit, in whole numbers: a Double of 10 times a large one is rounded already.
    private func tenths(_ power: Int) -> UInt {
        let unit: UInt = 1 << (10 * UInt(power))
        let (whole, rest) = (10 * (bytes.magnitude % unit)).quotientAndRemainder(dividingBy: unit)
        let below = 10 * (bytes.magnitude / unit) + whole
        let isAbove = 2 * rest > unit || 2 * rest == unit && below % 2 == 1
        return isAbove ? below + 1 : below
    }

    public static func < (a: ByteSize, b: ByteSize) -> Bool { a.bytes < b.bytes }
}
