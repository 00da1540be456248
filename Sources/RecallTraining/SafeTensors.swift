import Foundation

/// One array of a .safetensors file.
public struct NamedArray: Equatable, Sendable {
    public var name: String
    public var shape: [Int]
    public var values: [Float]

    public init(name: String, shape: [Int], values: [Float]) {
        (self.name, self.shape, self.values) = (name, shape, values)
    }
}

/// The .safetensors format: eight bytes of header length, a JSON header with each array's type, shape and place, then the
/// numbers. Float32 arrays only, which is all that we keep.
public enum SafeTensors {
    /// What is wrong with a file.
    public struct FormatError: Error, Equatable, CustomStringConvertible, Sendable {
        public let description: String
    }

    /// Headers above this are refused, as the reference implementation does.
    static let longestHeader = 100_000_000

    /// The bytes of a file.
    public static func encode(_ arrays: [NamedArray], metadata: [String: String]) throws -> Data {
        var header: [String: Any] = ["__metadata__": metadata]
        var offset = 0
        for array in arrays {
            let bytes = array.values.count * MemoryLayout<Float>.stride
            header[array.name] = [
                "dtype": "F32", "shape": array.shape, "data_offsets": [offset, offset + bytes],
            ]
            offset += bytes
        }
        var json = try JSONSerialization.data(withJSONObject: header, options: [.sortedKeys])
        // The numbers start at a multiple of eight.
        while json.count % 8 != 0 { json.append(UInt8(ascii: " ")) }
        var data = Data(capacity: 8 + json.count + offset)
        withUnsafeBytes(of: UInt64(json.count).littleEndian) { data.append(contentsOf: $0) }
        data.append(json)
        for array in arrays {
            array.values.withUnsafeBytes { data.append(contentsOf: $0) }
        }
        return data
    }

    /// Reads what `encode` or another writer of the format made. As in the reference implementation, arrays that overlap,
    /// gaps between them and bytes after them are refused: a file with those is damaged or made to deceive.
    ///
    /// - Parameter passesOver: whether an array is left out, by its name: it may then be of any type of the format.
    /// - Throws: `FormatError`.
    public static func decode(
        _ data: Data, passesOver: (_ name: String) -> Bool = { _ in false }
    ) throws(FormatError) -> (arrays: [NamedArray], metadata: [String: String]) {
        guard data.count >= 8 else { throw FormatError(description: "too short for a .safetensors file") }
        let data = Data(data)  // indices from 0
        let length = data.prefix(8).enumerated().reduce(UInt64(0)) {
            $0 | UInt64($1.element) << (8 * $1.offset)
        }
        guard length <= longestHeader, data.count - 8 >= Int(length) else {
            throw FormatError(description: "its header is cut short")
        }
        let body = data.dropFirst(8 + Int(length))
        let header = try SafeTensorsHeader.read(data[8..<8 + Int(length)])
        let metadata = try SafeTensorsHeader.metadata(of: header)
        var arrays: [NamedArray] = []
        var places: [(name: String, bytes: Range<Int>)] = []
        for (name, entry) in header where name != "__metadata__" {
            let (array, bytes) = try array(name, entry, body, isRead: !passesOver(name))
            if let array { arrays.append(array) }
            places.append((name, bytes))
        }
        try requireCovered(body.count, by: places)
        return (arrays.sorted { $0.name < $1.name }, metadata)
    }

    /// The format has every byte after the header belong to exactly one array.
    private static func requireCovered(
        _ count: Int, by places: [(name: String, bytes: Range<Int>)]
    ) throws(FormatError) {
        var end = 0
        var previous: String?
        // Empty arrays may stand where another begins.
        let order = places.sorted {
            ($0.bytes.lowerBound, $0.bytes.upperBound, $0.name)
                < ($1.bytes.lowerBound, $1.bytes.upperBound, $1.name)
        }
        for (name, bytes) in order {
            if bytes.lowerBound < end, let previous {
                throw FormatError(description: "'\(previous)' and '\(name)' lie over each other")
            }
            guard bytes.lowerBound == end else {
                throw FormatError(description: "bytes \(end)..<\(bytes.lowerBound) belong to no array")
            }
            (end, previous) = (bytes.upperBound, name)
        }
        guard end == count else {
            throw FormatError(description: "bytes \(end)..<\(count) belong to no array")
        }
    }

    /// Bytes of an element by the format's names.
    private static let sizes = [
        "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
        "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
    ]

    /// - Returns: nil for an array that is not read, and its bytes after the header.
    private static func array(
        _ name: String, _ entry: Any, _ body: Data, isRead: Bool
    ) throws(FormatError) -> (NamedArray?, place: Range<Int>) {
        guard let entry = entry as? [String: Any], let type = entry["dtype"] as? String,
            let shape = entry["shape"] as? [Int], let offsets = entry["data_offsets"] as? [Int],
            offsets.count == 2, shape.allSatisfy({ $0 >= 0 })
        else { throw FormatError(description: "its entry '\(name)' is not of the format") }
        guard let size = sizes[type] else {
            throw FormatError(description: "'\(name)' is \(type), which is no type of the format")
        }
        guard type == "F32" || !isRead else {
            throw FormatError(description: "'\(name)' is \(type); only F32 is read here")
        }
        var count = 1
        for extent in shape {
            let (product, overflow) = count.multipliedReportingOverflow(by: extent)
            guard !overflow else { throw FormatError(description: "'\(name)' has an impossible shape") }
            count = product
        }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: size)
        guard !overflow, offsets[0] >= 0, offsets[1] >= offsets[0], offsets[1] - offsets[0] == bytes,
            offsets[1] <= body.count
        else { throw FormatError(description: "'\(name)' is cut short or misplaced") }
        guard isRead else { return (nil, offsets[0]..<offsets[1]) }
        let start = body.startIndex + offsets[0]
        let values = [Float](unsafeUninitializedCapacity: count) { buffer, initialised in
            _ = body[start..<start + bytes].copyBytes(to: UnsafeMutableRawBufferPointer(buffer))
            initialised = count
        }
        return (NamedArray(name: name, shape: shape, values: values), offsets[0]..<offsets[1])
    }
}
