import Foundation
import RecallBenchmark
import RecallKernels
import RecallReport
import RecallSuite

extension BenchCommand.Train {
    /// A table a model: every operation's milliseconds, forward and backward, beside its floor.
    func writeOperations(_ cases: [TrainCase]) throws {
        let rates = FloorRates()
        for one in cases {
            let title = "\(one.name), d_model \(one.model.dModel), \(one.shape.length):\(one.shape.pairs)"
            Output.note(title)
            let operations = try StepBenchmark.profile(one.model, one.shape, steps: steps, threads: threads)
            let lines = operations.map { operation in
                OperationLine(operation, rates: rates, threads: threads)
            }
            if json {
                for line in lines { Output.write(RunSpec.json(line) + "\n") }
            } else {
                Output.write("\(title)\n\(Self.table(lines).render(width: Output.width))\n")
            }
        }
    }

    private static func table(_ lines: [OperationLine]) -> TextTable {
        var table = TextTable([
            .init("operation"), .init("forward ms", .right), .init("floor", .right),
            .init("backward ms", .right), .init("floor", .right), .init("over floor", .right),
        ])
        for line in lines + [OperationLine(sumOf: lines)] { table.add(line.row) }
        return table
    }
}

/// An operation's milliseconds, as a line of `--json`.
private struct OperationLine: Encodable {
    let operation: String
    let forwardMilliseconds: Double
    let forwardFloorMilliseconds: Double
    let backwardMilliseconds: Double
    let backwardFloorMilliseconds: Double

    private enum CodingKeys: String, CodingKey {
        case operation
        case forwardMilliseconds = "forward_ms"
        case forwardFloorMilliseconds = "forward_floor_ms"
        case backwardMilliseconds = "backward_ms"
        case backwardFloorMilliseconds = "backward_floor_ms"
    }

    init(_ times: OperationTimes, rates: FloorRates, threads: Int) {
        operation = times.name
        (forwardMilliseconds, backwardMilliseconds) = (times.forward * 1e3, times.backward * 1e3)
        forwardFloorMilliseconds = rates.seconds(times.work.forward) / Double(threads) * 1e3
        backwardFloorMilliseconds = rates.seconds(times.work.backward) / Double(threads) * 1e3
    }

    init(sumOf lines: [OperationLine]) {
        func sum(_ number: (OperationLine) -> Double) -> Double { lines.reduce(0) { $0 + number($1) } }
        operation = "all"
        (forwardMilliseconds, backwardMilliseconds) = (sum(\.forwardMilliseconds), sum(\.backwardMilliseconds))
        forwardFloorMilliseconds = sum(\.forwardFloorMilliseconds)
        backwardFloorMilliseconds = sum(\.backwardFloorMilliseconds)
    }

    /// What the operation takes beyond its floor, in milliseconds, last.
    var row: [String] {
        let numbers = [
            forwardMilliseconds, forwardFloorMilliseconds, backwardMilliseconds, backwardFloorMilliseconds,
            forwardMilliseconds + backwardMilliseconds - forwardFloorMilliseconds - backwardFloorMilliseconds,
        ]
        return [operation] + numbers.map { String(format: "%.2f", $0) }
    }
}
