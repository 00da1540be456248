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

    /// Reads what `encode` or another writer of the format made.
    ///
    /// - Parameter passesOver: whether an array is left out, by its name: it may then be of any type of the format.
    /// - Throws: `FormatError`.
    public static func decode(
        _ data: Data,
        passesOver: (_ name: String) -> Bool = { _ in false }
    ) throws(FormatError) -> (arrays: [NamedArray], metadata: [String: String]) {
        let file = try SafeTensorsFile(data, passesOver: passesOver)
        let arrays = file.names.map { name in
            guard let shape = file.shape(of: name), let values = try? file.values(of: name) else {
                preconditionFailure("an array of its own list, in memory")
            }
            return NamedArray(name: name, shape: shape, values: values)
        }
        return (arrays, file.metadata)
    }

    /// Somebody's word in quotes, shortened where it is long.
    static func quoted(_ word: String) -> String { "'\(shortened(word))'" }

    static func shortened(_ word: String) -> String {
        word.prefix(101).count > 100 ? word.prefix(97) + "..." : word
    }
}
