import Foundation
import RecallInput
import RecallKernels
import RecallTensor

/// Why a checkpoint cannot be evaluated.
public struct CheckpointError: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Kind: Equatable, Sendable {
        /// There is no such file.
        case missing
        /// The system refused to read it.
        case unreadable
        /// What it holds is not what it should.
        case content
    }

    public let kind: Kind
    public let path: String
    public let message: String

    public var description: String { "\(path): \(message)" }
}

extension CheckpointError {
    init(_ error: InputFileError) {
        path = error.path
        switch error.kind {
        case .missing: (kind, message) = (.missing, "there is no such checkpoint")
        case .isFolder: (kind, message) = (.content, "it is a folder; name a .safetensors file in it")
        case .unreadable: (kind, message) = (.unreadable, error.message)
        case .notRegular, .tooLarge, .cutShort: (kind, message) = (.content, error.message)
        }
    }
}

/// A checkpoint's parameters and what it says of itself, whether the trainer wrote it or another program: what evaluation
/// needs. Of the metadata only the specification is required, and AdamW's moments are passed over.
public struct CheckpointContent: Sendable {
    public let path: String
    /// The run's specification as JSON.
    public let specification: String
    public let runID: String?
    public let epoch: Int?
    public let step: Int?
    private let file: SafeTensorsFile

    /// Reads what the file says of itself, but none of its numbers.
    ///
    /// - Throws: `CheckpointError`.
    public init(path: String) throws(CheckpointError) {
        self.path = path
        file = try Self.open(path)
        let metadata = file.metadata
        func refusal(_ message: String) -> CheckpointError {
            CheckpointError(kind: .content, path: path, message: message)
        }
        if let version = metadata["version"], version != CheckpointFile.version {
            throw refusal(
                "a checkpoint of version \(version); this program reads version \(CheckpointFile.version)"
            )
        }
        guard let specification = metadata["specification"] else {
            throw refusal(
                "its metadata have no 'specification', so its model is not known; save it with one, a run's "
                    + "specification as JSON: docs/interchange.md shows how"
            )
        }
        self.specification = specification
        runID = metadata["run_id"]
        epoch = metadata["epoch"].flatMap { Int($0) }
        step = metadata["step"].flatMap { Int($0) }
    }

    private static func open(_ path: String) throws(CheckpointError) -> SafeTensorsFile {
        // What belongs to an optimizer may be of any type, such as a step count of PyTorch's.
        do { return try SafeTensorsFile(path: path, passesOver: CheckpointHash.isOptimizers) } catch {
            if let error = error as? InputFileError { throw CheckpointError(error) }
            throw CheckpointError(
                kind: .content,
                path: path,
                message: "not a whole .safetensors file: \(error)"
            )
        }
    }

    /// Refuses a parameter of another shape than the model's, before there is a model.
    ///
    /// - Throws: `CheckpointError` that names the parameter and both shapes.
    public func requireShape(_ shape: [Int], of name: String) throws(CheckpointError) {
        guard let found = file.shape(of: name) else {
            throw CheckpointError(
                kind: .content,
                path: path,
                message: "it has no \(name), of shape \(shape) in the model of its specification"
            )
        }
        guard found == shape else {
            throw CheckpointError(
                kind: .content,
                path: path,
                message: "\(name) has the shape \(found) there, and \(shape) in the model of its specification"
            )
        }
    }

    /// Refuses parameters that are not those of a model, which may be one that is only laid out.
    ///
    /// - Throws: `CheckpointError` for a parameter that is missing, of another shape, or not the model's.
    public func requireParameters(of store: ParameterStore) throws(CheckpointError) {
        for parameter in store.parameters { try requireShape(parameter.shape, of: parameter.name) }
        let known = Set(store.parameters.map(\.name))
        if let stranger = file.names.first(where: { !known.contains($0) }) {
            throw CheckpointError(
                kind: .content,
                path: path,
                message: "it has \(stranger), which the model of its specification has not"
            )
        }
    }

    /// Puts the parameters into a model. Everything is checked first: a checkpoint that is refused leaves the model as it
    /// was.
    ///
    /// - Throws: `CheckpointError` for a parameter that is missing, of another shape, or not the model's.
    public func write(to store: ParameterStore) throws(CheckpointError) {
        try requireParameters(of: store)
        var arrays: [NamedArray] = []
        for parameter in store.parameters {
            do {
                let values = try file.values(of: parameter.name) ?? []
                arrays.append(NamedArray(name: parameter.name, shape: parameter.shape, values: values))
            } catch {
                throw CheckpointError(error)
            }
        }
        if let hash = file.metadata[CheckpointHash.ofParameters], hash != CheckpointHash.parameters(arrays) {
            throw CheckpointError(
                kind: .content,
                path: path,
                message:
                    "its parameters are not those that its '\(CheckpointHash.ofParameters)' is of: it is damaged, or a "
                    + "program has changed them and kept that key, which it must leave out"
            )
        }
        for (parameter, array) in zip(store.parameters, arrays) {
            store.write(array.values, to: parameter.value)
        }
    }
}
