import Foundation

/// The JSON header of a .safetensors file, held to the format's own rules, which Foundation's parser does not know: it begins
/// with "{", is UTF-8, ends in spaces alone, has no key twice, and its metadata are text.
enum SafeTensorsHeader {
    typealias FormatError = SafeTensors.FormatError

    /// - Throws: `FormatError`, which names the rule that is broken.
    static func read(_ bytes: Data) throws(FormatError) -> [String: Any] {
        guard bytes.first == UInt8(ascii: "{") else {
            throw FormatError(description: "its header does not begin with '{'")
        }
        if let zero = bytes.firstIndex(of: 0) {
            let isPadding = bytes[zero...].allSatisfy { $0 == 0 }
            throw FormatError(
                description: isPadding
                    ? "its header is padded with NUL bytes; the format pads with spaces"
                    : "its header has a NUL byte at byte \(8 + zero - bytes.startIndex); the format has UTF-8 text there"
            )
        }
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw FormatError(description: "its header is not UTF-8 text")
        }
        guard let object = try? JSONSerialization.jsonObject(with: bytes), let header = object as? [String: Any]
        else { throw FormatError(description: "its header is not JSON") }
        if let key = repeatedKey(in: Array(bytes)) {
            throw FormatError(description: "its header has '\(key)' twice")
        }
        return header
    }

    /// - Throws: `FormatError` for metadata that are not text by text.
    static func metadata(of header: [String: Any]) throws(FormatError) -> [String: String] {
        guard let entry = header["__metadata__"] else { return [:] }
        guard let metadata = entry as? [String: Any] else {
            throw FormatError(description: "its '__metadata__' is not a mapping")
        }
        var texts: [String: String] = [:]
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            guard let text = value as? String else {
                throw FormatError(
                    description: "its metadata have '\(key)' that is no text; the format allows text alone")
            }
            texts[key] = text
        }
        return texts
    }

    /// The first key that an object of some JSON has twice.
    ///
    /// - Parameter bytes: JSON that a parser has accepted.
    private static func repeatedKey(in bytes: [UInt8]) -> String? {
        /// The keys of every object that is open; nil for a list.
        var open: [Set<String>?] = []
        var index = 0
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "{"): open.append([])
            case UInt8(ascii: "["): open.append(nil)
            case UInt8(ascii: "}"), UInt8(ascii: "]"): open.removeLast()
            case UInt8(ascii: "\""):
                let start = index
                index += 1
                while bytes[index] != UInt8(ascii: "\"") { index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1 }
                let next = bytes[(index + 1)...].first { !" \t\r\n".utf8.contains($0) }
                if next == UInt8(ascii: ":"), let last = open.indices.last {
                    let key = text(bytes[start...index])
                    if open[last]?.insert(key).inserted == false { return key }
                }
            default: break
            }
            index += 1
        }
        return nil
    }

    /// A string of JSON without its escapes.
    private static func text(_ quoted: ArraySlice<UInt8>) -> String {
        let text = try? JSONSerialization.jsonObject(with: Data(quoted), options: .fragmentsAllowed)
        return text as? String ?? String(decoding: quoted, as: UTF8.self)
    }
}
