import Foundation
import RecallModels
import RecallTraining
import Testing

/// What PyTorch made of one small model, in Float64 (make_golden.py beside this tells all).
struct GoldenFixture: Sendable, CustomTestStringConvertible {
    /// The model and the batch.
    struct Case: Decodable, Sendable {
        /// Resolved.
        var model: ModelConfig
        /// V.
        let vocabulary: Int
        /// The longest sequence of the task.
        let longest: Int
        /// (B, L)
        let tokens: [[Int32]]
        /// Rows of the flattened (B·L), ascending.
        let labelledRows: [Int32]
        /// The token expected at each.
        let labels: [Int32]
        let learningRate: Double
        let weightDecay: Double

        private enum CodingKeys: String, CodingKey {
            case model, vocabulary, longest, tokens
            case labelledRows = "labelled_rows"
            case labels
            case learningRate = "learning_rate"
            case weightDecay = "weight_decay"
        }
    }

    let name: String
    let content: Case
    private let arrays: [String: NamedArray]

    var testDescription: String { name }

    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures")

    /// Every fixture there is.
    static let all: [GoldenFixture] = {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
                .filter { $0.hasSuffix(".safetensors") }.map(GoldenFixture.init)
        } catch { preconditionFailure("the fixtures in \(folder.path) cannot be read: \(error)") }
    }()

    private init(file: String) throws {
        let (arrays, metadata) = try SafeTensors.decode(Data(contentsOf: Self.folder.appending(path: file)))
        name = String(file.dropLast(".safetensors".count))
        var content = try JSONDecoder().decode(Case.self, from: Data((metadata["case"] ?? "").utf8))
        content.model = try content.model.resolved()
        self.content = content
        self.arrays = Dictionary(uniqueKeysWithValues: arrays.map { ($0.name, $0) })
    }

    /// The names of the model's parameters.
    var parameterNames: Set<String> {
        Set(arrays.keys.filter { $0.hasPrefix("gradient.") }.map { String($0.dropFirst("gradient.".count)) })
    }

    func shape(_ name: String) -> [Int]? { arrays[name]?.shape }

    func values(_ name: String) -> [Float]? { arrays[name]?.values }
}
