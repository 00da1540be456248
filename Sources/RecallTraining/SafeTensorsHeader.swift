import Foundation
import RecallInput

/// What a .safetensors file says of its numbers, held to the format's own rules and against the file's size before any of
/// them is read. As in the reference implementation, arrays that overlap, gaps between them and bytes after them are refused:
/// a file with those is damaged or made to deceive.
struct SafeTensorsHeader: Sendable {
    typealias FormatError = SafeTensors.FormatError

    struct Entry: Sendable {
        let name: String
        let shape: [Int]
        /// Where in the file its numbers are.
        let place: Range<Int>
        /// Whether its numbers are asked for: they are Float32 then.
        let isRead: Bool
    }

    /// In the order of their numbers.
    let entries: [Entry]
    let metadata: [String: String]

    /// Bytes before the header, which are its length.
    static let prefixBytes = 8
    /// Headers above this are refused, as the reference implementation does.
    static let longest = 100_000_000
    static let mostDimensions = 64

    /// How long the header is by the file's first bytes.
    ///
    /// - Parameter size: of the file; nil where nobody knows.
    /// - Throws: `FormatError` for more than there is, or than the format allows.
    static func length(_ prefix: Data, ofFileOf size: Int?) throws(FormatError) -> Int {
        guard prefix.count == prefixBytes else {
            throw FormatError(description: "too short for a .safetensors file")
        }
        let length = prefix.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        if let size, length > size - prefixBytes { throw cutShort }
        guard length <= longest else {
            throw FormatError(
                description: "its header is longer than the \(longest) bytes that the format allows"
            )
        }
        return Int(length)
    }

    static let cutShort = FormatError(description: "its header is cut short")

    /// - Parameters:
    ///   - text: the header.
    ///   - size: the file's; nil where nobody knows.
    ///   - passesOver: whether an array is left out, by its name: it may then be of any type of the format.
    /// - Throws: `FormatError`, which names the rule that is broken.
    init(
        _ text: Data,
        ofFileOf size: Int?,
        passesOver: (_ name: String) -> Bool = { _ in false }
    ) throws(FormatError) {
        try Self.requireText(text)
        var arrays: [(name: String, values: Members)] = []
        var metadata: [String: String]? = [:]
        var notText: String?
        do throws(JSONFault) {
            var scanner = try JSONScanner(text)
            try scanner.object { scanner, name throws(JSONFault) in
                guard name == "__metadata__" else {
                    arrays.append((name, try Members(&scanner)))
                    return
                }
                let isMapping = try scanner.object { scanner, key throws(JSONFault) in
                    if let value = try scanner.text() {
                        metadata?[key] = value
                    } else {
                        notText = notText ?? key
                    }
                }
                if !isMapping { metadata = nil }
            }
            try scanner.end()
        } catch {
            let fault = JSONFault(kind: error.kind, offset: Self.prefixBytes + error.offset)
            throw FormatError(description: "its header \(fault)")
        }
        guard let metadata else { throw FormatError(description: "its '__metadata__' is not a mapping") }
        if let notText {
            throw FormatError(
                description:
                    "its metadata have \(SafeTensors.quoted(notText)) that is no text; the format allows text alone"
            )
        }
        let start = Self.prefixBytes + text.count
        var entries: [Entry] = []
        for (name, members) in arrays {
            entries.append(try members.entry(name, isRead: !passesOver(name), from: start, ofFileOf: size))
        }
        // Empty arrays may stand where another begins.
        entries.sort {
            ($0.place.lowerBound, $0.place.upperBound, $0.name) < (
                $1.place.lowerBound, $1.place.upperBound, $1.name
            )
        }
        (self.entries, self.metadata) = (entries, metadata)
        try requireCovered(from: start, to: size)
    }

    /// Where the file ends by what the header says.
    var end: Int? { entries.last?.place.upperBound }

    private static func requireText(_ text: Data) throws(FormatError) {
        guard text.first == UInt8(ascii: "{") else {
            throw FormatError(description: "its header does not begin with '{'")
        }
        guard let zero = text.firstIndex(of: 0) else { return }
        let isPadding = text[zero...].allSatisfy { $0 == 0 }
        let place = prefixBytes + zero - text.startIndex
        throw FormatError(
            description: isPadding
                ? "its header is padded with NUL bytes; the format pads with spaces"
                : "its header has a NUL byte at byte \(place); the format has UTF-8 text there"
        )
    }

    /// The format has every byte after the header belong to exactly one array.
    private func requireCovered(from start: Int, to size: Int?) throws(FormatError) {
        var end = start
        var previous: String?
        for entry in entries {
            if entry.place.lowerBound < end, let previous {
                throw FormatError(
                    description:
                        "\(SafeTensors.quoted(previous)) and \(SafeTensors.quoted(entry.name)) lie over each other"
                )
            }
            guard entry.place.lowerBound == end else {
                throw FormatError(
                    description: "bytes \(end - start)..<\(entry.place.lowerBound - start) belong to no array"
                )
            }
            (end, previous) = (entry.place.upperBound, entry.name)
        }
        guard end == size ?? end else {
            throw FormatError(description: "bytes \(end - start)..<\((size ?? end) - start) belong to no array")
        }
    }
}

/// An array's entry as it stands in the header; what is missing or of another type is nil.
private struct Members {
    private var type: String?
    private var shape: [Int]?
    private var offsets: [Int]?

    init(_ scanner: inout JSONScanner) throws(JSONFault) {
        var (type, shape, offsets): (String?, [Int]?, [Int]?)
        try scanner.object { scanner, key throws(JSONFault) in
            switch key {
            case "dtype": type = try scanner.text()
            case "shape": shape = try scanner.integers()
            case "data_offsets": offsets = try scanner.integers()
            default: try scanner.skip()
            }
        }
        (self.type, self.shape, self.offsets) = (type, shape, offsets)
    }

    /// Bytes of an element by the format's names.
    private static let sizes = [
        "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
        "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
    ]

    /// - Parameter start: where in the file the numbers begin.
    func entry(
        _ name: String,
        isRead: Bool,
        from start: Int,
        ofFileOf size: Int?
    ) throws(SafeTensors.FormatError) -> SafeTensorsHeader.Entry {
        let quoted = SafeTensors.quoted(name)
        func refusal(_ why: String) -> SafeTensors.FormatError { SafeTensors.FormatError(description: why) }
        guard let type, let shape, let offsets, offsets.count == 2, (shape + offsets).allSatisfy({ $0 >= 0 })
        else {
            throw refusal("its entry \(quoted) is not of the format")
        }
        guard let bytesOfOne = Self.sizes[type] else {
            throw refusal("\(quoted) is \(SafeTensors.shortened(type)), which is no type of the format")
        }
        guard type == "F32" || !isRead else { throw refusal("\(quoted) is \(type); only F32 is read here") }
        guard shape.count <= SafeTensorsHeader.mostDimensions else {
            throw refusal(
                "\(quoted) has \(shape.count) dimensions; at most \(SafeTensorsHeader.mostDimensions) are read"
            )
        }
        var bytes = bytesOfOne
        for extent in shape {
            let (product, overflow) = bytes.multipliedReportingOverflow(by: extent)
            guard !overflow else { throw refusal("\(quoted) has an impossible shape") }
            bytes = product
        }
        // Below any offset, so that no sum overflows.
        let last = (size ?? Int.max) - start
        guard offsets[0] <= offsets[1], offsets[1] - offsets[0] == bytes, offsets[1] <= last else {
            throw refusal("\(quoted) is cut short or misplaced")
        }
        return SafeTensorsHeader.Entry(
            name: name,
            shape: shape,
            place: start + offsets[0]..<start + offsets[1],
            isRead: isRead
        )
    }
}
