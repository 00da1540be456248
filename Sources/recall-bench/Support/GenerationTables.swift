import RecallBenchmark
import RecallReport

/// What `bench generate` prints: speeds by context, the states' bytes, and where others overtake attention.
struct GenerationTables {
    /// The model that the others' decoding is compared with.
    private static let reference = "attention"

    private let contexts: [Int]
    private let batches: [Int]
    private var models: [String] = []
    private var prefill: [String: [GenerationShape: Double]] = [:]
    private var decode: [String: [GenerationShape: Double]] = [:]
    private var stateBytes: [String: [Int: Int]] = [:]

    /// - Parameter contexts: ascending.
    init(contexts: [Int], batches: [Int]) { (self.contexts, self.batches) = (contexts, batches) }

    mutating func add(_ model: String, _ shape: GenerationShape, _ times: GenerationTimes) {
        leaveOut(model, shape)
        prefill[model, default: [:]][shape] = Double(shape.batch * shape.context) / median(times.prefill)
        decode[model, default: [:]][shape] = Double(shape.batch) / median(times.decode)
        stateBytes[model, default: [:]][shape.context] = times.stateBytes
    }

    /// A point without a measurement.
    mutating func leaveOut(_ model: String, _ shape: GenerationShape) {
        if !models.contains(model) { models.append(model) }
    }

    func render(width: Int) -> String {
        let parts = [
            speeds("prefill", prefill), speeds("decode", decode), states, crossovers,
        ].compactMap { $0 }
        return parts.map { $0.render(width: width) }.joined(separator: "\n")
    }

    private func speeds(_ title: String, _ speeds: [String: [GenerationShape: Double]]) -> TextTable {
        var table = TextTable(
            [.init("\(title), tokens/s"), .init("batch", .right)] + contexts.map { .init("\($0)", .right) }
        )
        for batch in batches {
            for model in models {
                let cells = contexts.map { context in
                    speeds[model]?[GenerationShape(batch: batch, context: context)]
                        .map { Format.compactCount(rounding: $0) } ?? "no room"
                }
                table.add([model, "\(batch)"] + cells)
            }
        }
        return table
    }

    private var states: TextTable {
        var table = TextTable([.init("state of a sequence")] + contexts.map { .init("\($0)", .right) })
        for model in models {
            table.add([model] + contexts.map { stateBytes[model]?[$0].map(Format.bytes) ?? "no room" })
        }
        return table
    }

    /// nil where there is nothing to compare.
    private var crossovers: TextTable? {
        let others = models.filter { $0 != Self.reference }
        guard let attention = decode[Self.reference], !others.isEmpty else { return nil }
        var table = TextTable(
            [.init("decodes faster than \(Self.reference) from"), .init("state")]
                + batches.map { .init("batch \($0)", .right) }
        )
        for model in others {
            let isFixed = Set(contexts.compactMap { stateBytes[model]?[$0] }).count <= 1
            let cells = batches.map { batch in
                func ofBatch(_ speeds: [GenerationShape: Double]) -> [Int: Double] {
                    Dictionary(
                        uniqueKeysWithValues: speeds.filter { $0.key.batch == batch }.map {
                            ($0.key.context, $0.value)
                        }
                    )
                }
                return Crossover(ofBatch(decode[model] ?? [:]), against: ofBatch(attention))?.description ?? ""
            }
            table.add([model, isFixed ? "fixed" : "grows"] + cells)
        }
        return table
    }
}
