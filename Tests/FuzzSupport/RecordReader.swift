import Foundation
import RecallTraining

/// What a checkpoint says of itself, and whether a run goes on from it: as JSON with objects where the file has texts of
/// JSON, so that their numbers can be spoilt, and without the hashes, which nothing spoilt would pass.
enum RecordReader {
    private static let texts = ["record", "epochs_not_recorded"]

    static func read(_ bytes: [UInt8]) -> FileReader.Depth {
        guard let object = try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any] else {
            return .refusedAtSight
        }
        var metadata: [String: String] = [:]
        for (key, value) in object {
            if let text = value as? String { metadata[key] = text }
            guard texts.contains(key), JSONSerialization.isValidJSONObject(value),
                let data = try? JSONSerialization.data(withJSONObject: value)
            else { continue }
            metadata[key] = String(decoding: data, as: UTF8.self)
        }
        do {
            let found = try CheckpointFile(path: "x.safetensors").decode(metadata)
            return refusals(of: found).contains(nil) ? .read : .refused
        } catch {
            return .refused
        }
    }

    private static func refusals(of metadata: CheckpointMetadata) -> [String?] {
        let origin = CheckpointOrigin(database: "d1", device: "cpu", build: "0.1.0")
        let history = (1...4).map {
            EpochRecord(
                epoch: $0,
                step: 10 * $0,
                learningRate: 0.01,
                trainLoss: 1.5,
                validationLoss: 1.25,
                validationAccuracy: 0.5,
                seconds: Double($0)
            )
        }
        return [(nil, nil), (origin, nil), (origin, []), (origin, history)].map { origin, history in
            CheckpointCheck(runID: "run", origin: origin, history: history, stepsPerEpoch: 10, epochs: 8)
                .refusal(of: metadata)
        }
    }
}
