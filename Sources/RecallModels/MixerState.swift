/// What kind of memory a part of a state is, for itemised sizes.
public enum StateKind: String, Codable, CaseIterable, Sendable {
    /// Keys and values of past tokens.
    case keyValueCache = "kv-cache"
    /// A state of fixed size that every token changes.
    case recurrent
    /// Past inputs of a convolution.
    case convolution
}

/// One array of a mixer's state: for each sequence, `rows` rows in use of at most `capacity`, `width` numbers each.
public struct StatePart: Sendable, Equatable {
    public let kind: StateKind
    public let name: String
    public let capacity: Int
    public let width: Int
    /// Rows in use, the same for every sequence.
    public internal(set) var rows: Int
    /// (batch, capacity, width).
    var values: [Float]

    /// - Parameter rows: in use from the start: all, for a state of fixed size that begins at zero.
    init(_ kind: StateKind, _ name: String, batch: Int, capacity: Int, width: Int, rows: Int = 0) {
        (self.kind, self.name, self.capacity, self.width, self.rows) = (kind, name, capacity, width, rows)
        values = Array(repeating: 0, count: batch * capacity * width)
    }

    /// Adds one row to each sequence: `source` is (batch, width), `stride` apart.
    mutating func append(_ source: UnsafePointer<Float>, stride: Int, batch: Int) {
        precondition(rows < capacity, "more tokens than the state was made for")
        write(source, stride: stride, batch: batch, row: rows)
        rows += 1
    }

    /// Writes one row of each sequence.
    mutating func write(_ source: UnsafePointer<Float>, stride: Int, batch: Int, row: Int) {
        for sequence in 0..<batch {
            let start = (sequence * capacity + row) * width
            for column in 0..<width { values[start + column] = source[sequence * stride + column] }
        }
    }
}

/// What a mixer carries from token to token for `batch` sequences, and nothing else: it can be serialised in
/// mid-sequence and resumed from in a fresh object, and those bytes are its size.
public struct MixerState: Sendable, Equatable {
    public let batch: Int
    public internal(set) var parts: [StatePart]
    /// Tokens seen.
    public internal(set) var position = 0

    init(batch: Int, parts: [StatePart]) {
        (self.batch, self.parts) = (batch, parts)
    }

    /// Bytes that one sequence carries, Float32: the rows in use, counted from what `serialised` writes.
    public var bytesPerSequence: Int {
        parts.reduce(0) { $0 + $1.rows * $1.width * MemoryLayout<Float>.stride }
    }

    /// The rows in use of every part, sequence by sequence, in order: little-endian Float32 and nothing else (the
    /// number of tokens seen is the caller's).
    public func serialised() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(bytesPerSequence * batch)
        for part in parts {
            for sequence in 0..<batch {
                let start = sequence * part.capacity * part.width
                part.values[start..<start + part.rows * part.width].withUnsafeBytes {
                    bytes.append(contentsOf: $0)
                }
            }
        }
        return bytes
    }

    /// Continues from what `serialised` gave, after `position` tokens, in a state fresh from `makeState` of the same
    /// mixer, batch and capacity.
    ///
    /// - Throws: `MixerStateError` where the bytes are not of such a state.
    public mutating func restore(_ bytes: [UInt8], position: Int) throws(MixerStateError) {
        let fixed = parts.filter { $0.rows > 0 }.reduce(0) { $0 + $1.rows * $1.width }
        let growing = parts.filter { $0.rows == 0 }
        let size = MemoryLayout<Float>.stride
        // Growing parts hold one row a token, up to their capacity.
        let grown = growing.reduce(0) { $0 + min(position, $1.capacity) * $1.width }
        guard position >= 0, bytes.count == (fixed + grown) * batch * size else {
            throw MixerStateError(expected: (fixed + grown) * batch * size, found: bytes.count)
        }
        self.position = position
        var offset = 0
        for index in parts.indices {
            if parts[index].rows == 0 { parts[index].rows = min(position, parts[index].capacity) }
            let part = parts[index]
            for sequence in 0..<batch {
                let start = sequence * part.capacity * part.width
                for number in 0..<part.rows * part.width {
                    let value = bytes[offset..<offset + size].withUnsafeBytes {
                        $0.loadUnaligned(as: Float.self)
                    }
                    parts[index].values[start + number] = value
                    offset += size
                }
            }
        }
    }
}

/// Bytes that are not a state's.
public struct MixerStateError: Error, Equatable {
    public let expected: Int
    public let found: Int
}
