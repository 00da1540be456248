import Foundation
import RecallInput

/// A .safetensors file that is open. Its header is read and checked; its numbers wait until somebody asks for them, by name,
/// and only so much of the file is ever in memory.
public struct SafeTensorsFile: Sendable {
    private enum Source: Sendable {
        case file(InputFile)
        case bytes(Data)
    }

    public let metadata: [String: String]
    /// Those that are not passed over.
    private let entries: [String: SafeTensorsHeader.Entry]
    private let source: Source

    /// Opens a file.
    ///
    /// - Parameter passesOver: whether an array is left out, by its name: it may then be of any type of the format.
    /// - Throws: `InputFileError` for one that cannot be read, `SafeTensors.FormatError` for what is no such file.
    public init(path: String, passesOver: (_ name: String) -> Bool = { _ in false }) throws {
        let file = try InputFile(path: path)
        guard let size = file.size else {
            try self.init(streamOf: file, passesOver)
            return
        }
        let prefix = SafeTensorsHeader.prefixBytes
        let length = try SafeTensorsHeader.length(file.bytes(0..<min(prefix, size)), ofFileOf: size)
        let text = try file.bytes(prefix..<prefix + length)
        self.init(try SafeTensorsHeader(text, ofFileOf: size, passesOver: passesOver), .file(file))
    }

    /// What is piped in is kept in memory: no more of it than its header says, and no more than this.
    private static let longestStream = 1 << 32

    private init(streamOf file: InputFile, _ passesOver: (String) -> Bool) throws {
        let prefix = SafeTensorsHeader.prefixBytes
        var bytes = try file.beginning(upTo: prefix)
        let length = try SafeTensorsHeader.length(bytes, ofFileOf: nil)
        let text = try file.beginning(upTo: length)
        guard text.count == length else { throw SafeTensorsHeader.cutShort }
        let end = try SafeTensorsHeader(text, ofFileOf: nil, passesOver: passesOver).end ?? prefix + length
        guard end <= Self.longestStream else {
            throw SafeTensors.FormatError(
                description:
                    "it says that it has \(end) bytes; name a regular file for more than \(Self.longestStream)"
            )
        }
        bytes += text
        bytes += try file.beginning(upTo: end + 1 - bytes.count)
        try self.init(bytes, passesOver: passesOver)
    }

    /// The bytes of such a file.
    ///
    /// - Throws: `SafeTensors.FormatError`.
    public init(
        _ bytes: Data,
        passesOver: (_ name: String) -> Bool = { _ in false }
    ) throws(SafeTensors.FormatError) {
        let bytes = Data(bytes)  // indices from 0
        let prefix = SafeTensorsHeader.prefixBytes
        let length = try SafeTensorsHeader.length(bytes.prefix(prefix), ofFileOf: bytes.count)
        let text = bytes[prefix..<prefix + length]
        self.init(
            try SafeTensorsHeader(text, ofFileOf: bytes.count, passesOver: passesOver),
            .bytes(bytes)
        )
    }

    private init(_ header: SafeTensorsHeader, _ source: Source) {
        (metadata, self.source) = (header.metadata, source)
        // No name is there twice.
        entries = Dictionary(
            header.entries.filter(\.isRead).map { ($0.name, $0) },
            uniquingKeysWith: { first, _ in first }
        )
    }

    /// The arrays' names, in order.
    public var names: [String] { entries.keys.sorted() }

    /// The shape of an array; nil where there is none of that name.
    public func shape(of name: String) -> [Int]? { entries[name]?.shape }

    /// The numbers of an array; nil where there is none of that name.
    ///
    /// - Throws: `InputFileError` where the file has changed or cannot be read any more.
    public func values(of name: String) throws(InputFileError) -> [Float]? {
        guard let place = entries[name]?.place else { return nil }
        let bytes =
            switch source {
            case .file(let file): try file.bytes(place)
            case .bytes(let bytes): bytes[place]
            }
        return [Float](unsafeUninitializedCapacity: place.count / MemoryLayout<Float>.stride) { buffer, count in
            count = bytes.copyBytes(to: UnsafeMutableRawBufferPointer(buffer)) / MemoryLayout<Float>.stride
        }
    }
}
