import RecallInput

/// What kind of memory a part of a state is, for itemised sizes.
public enum StateKind: String, Codable, CaseIterable, Sendable {
    /// Keys and values of past tokens.
    case keyValueCache = "kv-cache"
    /// A state of fixed size that every token changes.
    case recurrent
    /// Past inputs of a convolution.
    case convolution
}

/// What one array of a mixer's state is for each sequence: at most `capacity` rows of `width` numbers. No memory is taken for
/// it.
public struct StateLayout: Hashable, Sendable {
    public let kind: StateKind
    public let name: String
    public let capacity: Int
    public let width: Int
    /// Whether each token adds a row; else all rows are in use from the start.
    public let grows: Bool

    init(_ kind: StateKind, _ name: String, capacity: Int, width: Int, grows: Bool = false) {
        (self.kind, self.name, self.capacity, self.width, self.grows) = (kind, name, capacity, width, grows)
    }

    /// Rows in use after so many tokens.
    func rows(after tokens: Int) -> Int { grows ? min(tokens, capacity) : capacity }

    /// Bytes in use after so many tokens, Float32.
    func bytes(after tokens: Int) -> Int {
        [rows(after: tokens), width, MemoryLayout<Float>.stride].saturatingProduct()
    }

    /// Bytes of memory, in use or not.
    var allocatedBytes: Int { [capacity, width, MemoryLayout<Float>.stride].saturatingProduct() }
}

/// One array of a mixer's state: for each sequence, `rows` rows in use of at most `capacity`, `width` numbers each.
public struct StatePart: Sendable, Equatable {
    public let kind: StateKind
    public let name: String
    public let capacity: Int
    public let width: Int
    /// Whether each token adds a row, token t's at t modulo the capacity; else all rows are in use from the start, at zero.
    public let grows: Bool
    /// Rows in use, the same for every sequence.
    public internal(set) var rows: Int
    /// (batch, capacity, width).
    var values: [Float]

    init(_ layout: StateLayout, batch: Int) {
        (kind, name, capacity, width) = (layout.kind, layout.name, layout.capacity, layout.width)
        grows = layout.grows
        rows = layout.rows(after: 0)
        values = Array(repeating: 0, count: batch * capacity * width)
    }

    /// The rows in use, sequence by sequence: little-endian Float32.
    func serialised(batch: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(batch * rows * width * MemoryLayout<Float>.stride)
        for sequence in 0..<batch {
            let start = sequence * capacity * width
            values[start..<start + rows * width].withUnsafeBytes { bytes.append(contentsOf: $0) }
        }
        return bytes
    }

    /// Puts one token's row of each sequence of a growing part in its place.
    ///
    /// - Parameter source: (batch, width), `stride` apart.
    mutating func write(_ source: UnsafePointer<Float>, stride: Int, batch: Int, position: Int) {
        precondition(grows)
        guard capacity > 0 else { return }
        let row = position % capacity
        values.withUnsafeMutableBufferPointer { values in
            guard let start = values.baseAddress else { return }
            for sequence in 0..<batch {
                (start + (sequence * capacity + row) * width)
                    .update(from: source + sequence * stride, count: width)
            }
        }
    }

    /// Puts the rows of whole prompts where steps would have put them: each in its place in a growing part, the last
    /// ones at the end of one of fixed size, which is then a window over the latest tokens.
    ///
    /// - Parameters:
    ///   - source: (sequences, length, width), `stride` apart.
    ///   - sequences: which of the batch they are.
    mutating func writePrompts(
        _ source: UnsafePointer<Float>,
        stride: Int,
        length: Int,
        sequences: Range<Int>
    ) {
        let kept = min(length, capacity)
        values.withUnsafeMutableBufferPointer { values in
            guard let start = values.baseAddress else { return }
            for (prompt, sequence) in sequences.enumerated() {
                for token in length - kept..<length {
                    let row = grows ? token % capacity : capacity - length + token
                    (start + (sequence * capacity + row) * width)
                        .update(from: source + (prompt * length + token) * stride, count: width)
                }
            }
        }
    }
}

/// What a mixer carries from token to token for `batch` sequences, and nothing else: it can be serialised in
/// mid-sequence and resumed from in a fresh object, and those bytes are its size.
public struct MixerState: Sendable {
    public let batch: Int
    public internal(set) var parts: [StatePart]
    /// Tokens seen.
    public internal(set) var position = 0
    /// Rows that follow from the parameters alone, kept so that not every token makes them again. No part of the state:
    /// neither serialised nor compared, and made again where it is missing.
    var derived: [Float] = []

    init(batch: Int, layouts: [StateLayout]) {
        (self.batch, parts) = (batch, layouts.map { StatePart($0, batch: batch) })
    }

    /// Counts tokens that every part has taken in.
    mutating func advance(by tokens: Int = 1) {
        position += tokens
        for index in parts.indices where parts[index].grows {
            parts[index].rows = min(position, parts[index].capacity)
        }
    }

    /// Bytes that `batch` sequences take in memory, in use or not.
    public var allocatedBytes: Int {
        parts.reduce(0) { $0 + $1.values.count * MemoryLayout<Float>.stride }
    }

    /// Bytes that one sequence carries, Float32: the rows in use, counted from what `serialised` writes.
    public var bytesPerSequence: Int {
        parts.reduce(0) { $0 + $1.rows * $1.width * MemoryLayout<Float>.stride }
    }

    /// The rows in use of every part, sequence by sequence, in order: little-endian Float32 and nothing else (the
    /// number of tokens seen is the caller's).
    public func serialised() -> [UInt8] {
        parts.flatMap { $0.serialised(batch: batch) }
    }

    /// Continues from what `serialised` gave, after `position` tokens, in a state fresh from `makeState` of the same
    /// mixer, batch and capacity.
    ///
    /// - Throws: `MixerStateError` where the bytes are not of such a state.
    public mutating func restore(_ bytes: [UInt8], position: Int) throws(MixerStateError) {
        let size = MemoryLayout<Float>.stride
        let numbers = parts.reduce(0) { $0 + ($1.grows ? min(position, $1.capacity) : $1.capacity) * $1.width }
        guard position >= 0, bytes.count == numbers * batch * size else {
            throw MixerStateError(expected: numbers * batch * size, found: bytes.count)
        }
        self.position = 0
        advance(by: position)
        var offset = 0
        for index in parts.indices {
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

extension MixerState: Equatable {
    public static func == (a: MixerState, b: MixerState) -> Bool {
        a.batch == b.batch && a.parts == b.parts && a.position == b.position
    }
}

/// Bytes that are not a state's.
public struct MixerStateError: Error, Equatable {
    public let expected: Int
    public let found: Int
}
