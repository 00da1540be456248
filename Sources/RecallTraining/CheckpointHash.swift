import Crypto
import Foundation

/// The hashes that a checkpoint carries: a bit that a disk has flipped changes every number after it without a word.
///
/// They are of what the file says, not of how: arrays and metadata in the order of their names.
enum CheckpointHash {
    /// The metadata's keys.
    static let whole = "sha256"
    static let ofParameters = "parameters_sha256"

    /// Whether an array belongs to the optimizer, and not to the model.
    static func isOptimizers(_ name: String) -> Bool { name.hasPrefix("optimizer.") }

    /// SHA-256 of the arrays that are parameters, in hexadecimal.
    static func parameters(_ arrays: [NamedArray]) -> String {
        hash(arrays.filter { !isOptimizers($0.name) }, metadata: [:])
    }

    /// SHA-256 of the rest: the optimizer's arrays, and the metadata, the parameters' hash among them.
    static func whole(_ arrays: [NamedArray], metadata: [String: String]) -> String {
        hash(arrays.filter { isOptimizers($0.name) }, metadata: metadata.filter { $0.key != whole })
    }

    private static func hash(_ arrays: [NamedArray], metadata: [String: String]) -> String {
        var hash = SHA256()
        // With its length before it no text can pass for two.
        func add(_ text: String) { hash.update(data: Data("\(text.utf8.count):\(text)".utf8)) }
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            add(key)
            add(value)
        }
        for array in arrays.sorted(by: { $0.name < $1.name }) {
            add(array.name)
            add(array.shape.map(String.init).joined(separator: ","))
            array.values.withUnsafeBytes { hash.update(bufferPointer: $0) }
        }
        return hash.finalize().map { String(format: "%02x", $0) }.joined()
    }
}
