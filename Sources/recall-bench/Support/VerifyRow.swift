import Foundation
import RecallBenchmark
import RecallModelVerification
import RecallModels
import RecallReport
import RecallVerification

/// What became of one case of `verify`.
struct VerifyRow {
    let name: String
    /// In words.
    let shape: String
    /// The same by keys.
    let sizes: [String: KnobValue]
    /// Of the output nearest to its bound, or beyond it.
    let error: Double
    let bound: Double
    let hasSameBits: Bool
    let problems: [String]
    let seconds: [Double]
    /// Of each output; empty for a model.
    let outputs: [OutputVerdict]

    init(_ verdict: KernelVerdict) {
        let one = verdict.kernelCase
        (name, shape, problems, seconds) = (one.kernel, one.shape, verdict.problems, verdict.seconds)
        var sizes = Dictionary(uniqueKeysWithValues: one.sizes.map { ($0.key, KnobValue.integer($0.value)) })
        if !one.variant.isEmpty { sizes["variant"] = .text(one.variant) }
        self.sizes = sizes
        (hasSameBits, outputs) = (verdict.hasSameBits, verdict.outputs)
        error = verdict.worst.map { $0.error.isNaN ? .nan : max($0.error, $0.largestError) } ?? 0
        bound = verdict.worst?.bound ?? 0
    }

    init(_ verdict: ModelVerdict) {
        let one = verdict.modelCase
        (name, shape, problems, seconds) = (one.name, one.shape, verdict.problems, verdict.secondsPerStep)
        let sizes = Dictionary(uniqueKeysWithValues: one.sizes.map { ($0.key, KnobValue.integer($0.value)) })
        self.sizes = sizes.merging(one.knobs) { $1 }
        (hasSameBits, outputs) = (verdict.hasSameBits, [])
        (error, bound) = (verdict.deviation, verdict.bound)
    }

    static func table(_ rows: [VerifyRow]) -> TextTable {
        var table = TextTable([
            .init("kernel"), .init("shape", shrinks: true), .init("error", .right), .init("bound", .right),
            .init("same bits"), .init("verdict"),
        ])
        for row in rows {
            table.add([
                row.name, row.shape, number(row.error), number(row.bound), row.hasSameBits ? "yes" : "NO",
                row.problems.isEmpty ? "ok" : "FAILED",
            ])
        }
        return table
    }

    private static func number(_ number: Double) -> String {
        number == 0 ? "0" : number.isNaN ? "NaN" : String(format: "%.1e", number)
    }
}

/// A case as one line of `--json`: the benchmarks table's keys, `shape` as an object, `jobs`, and what was found.
struct VerifyLine: Encodable {
    private let kind = "verify"
    private let name, device, precision, commit: String?
    private let threads: Int
    private let jobs = 1
    private let shape: [String: KnobValue]
    /// Of a kernel's call, its operands on the device, or of a model's step.
    private let medianMilliseconds, minimumMilliseconds: Double
    /// Left out where it is not a number.
    private let error, bound: Double?
    private let sameBits, passed: Bool
    private let problems: [String]
    private let outputs: [Output]
    private let measuredAt: String

    private struct Output: Encodable {
        let name: String
        /// ‖out - ref‖/‖ref‖.
        let error: Double?
        /// The largest difference to the largest number.
        let largestError: Double?
        let bound: Double
        let problem: String?

        private enum CodingKeys: String, CodingKey {
            case name, error, bound, problem
            case largestError = "largest_error"
        }
    }

    private enum CodingKeys: String, CodingKey {
        case kind, name, device, precision, threads, jobs, shape, commit, error, bound, passed, problems,
            outputs
        case medianMilliseconds = "median_ms"
        case minimumMilliseconds = "min_ms"
        case sameBits = "same_bits"
        case measuredAt = "measured_at"
    }

    init(_ row: VerifyRow, device: String, precision: String, threads: Int) {
        // JSON has no other numbers.
        func finite(_ number: Double) -> Double? { number.isFinite ? number : nil }
        (name, self.device, self.precision, self.threads) = (row.name, device, precision, threads)
        commit = ProgramVersion.commit
        shape = row.sizes
        medianMilliseconds = median(row.seconds) * 1e3
        minimumMilliseconds = (row.seconds.min() ?? 0) * 1e3
        (error, bound, sameBits) = (finite(row.error), finite(row.bound), row.hasSameBits)
        (passed, problems) = (row.problems.isEmpty, row.problems)
        outputs = row.outputs.map {
            Output(
                name: $0.name,
                error: finite($0.error),
                largestError: finite($0.largestError),
                bound: $0.bound,
                problem: $0.problem
            )
        }
        measuredAt = Date().formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }
}
