import Foundation
import RecallData
import RecallReport
import RecallSuite
import RecallTraining

/// The readers of files that people hand over, as fuzzers call them.
public enum FileReader: String, CaseIterable, Sendable {
    case suite, checkpoint, npy, dataset, csv
    case rows, record

    /// How far a reader came.
    public enum Depth: Sendable {
        /// Refused at the first look: no YAML mapping, no JSON (header of the length given), no .npy magic and header, no
        /// table with the columns of a figure.
        case refusedAtSight
        /// Refused for what the file says.
        case refused
        case read
    }

    /// Reads a file of these bytes. Whatever they are, it returns.
    public func read(_ bytes: [UInt8]) -> Depth {
        switch self {
        case .suite: Self.readSuite(bytes)
        case .checkpoint: Self.readCheckpoint(bytes)
        case .npy: Self.readNPY(bytes)
        case .dataset: Self.readDataset(bytes)
        case .csv: Self.readCSV(bytes)
        case .rows: RowReader.read(bytes)
        case .record: RecordReader.read(bytes)
        }
    }

    /// A file spoilt a little.
    public func spoil(_ bytes: [UInt8], _ mutator: inout Mutator) -> [UInt8] {
        switch self {
        case .suite: mutator.suite(bytes)
        case .checkpoint: mutator.safeTensors(bytes)
        case .npy: mutator.npy(bytes)
        case .dataset: mutator.json(bytes)
        case .csv: mutator.csv(bytes)
        case .rows: mutator.rows(bytes)
        case .record: mutator.record(bytes)
        }
    }

    private static func readSuite(_ bytes: [UInt8]) -> Depth {
        do {
            _ = try Suite(yaml: String(decoding: bytes, as: UTF8.self), file: "x.yaml")
            return .read
        } catch {
            // Errors of a document that is no mapping blame no key.
            return error.key.isEmpty ? .refusedAtSight : .refused
        }
    }

    private static func readCheckpoint(_ bytes: [UInt8]) -> Depth {
        let data = Data(bytes)
        do {
            _ = try CheckpointFile(path: "x.safetensors").parse(data)
            return .read
        } catch {
            let isSeen = ["too short for", "its header is"].contains { "\(error)".contains($0) }
            return isSeen ? .refusedAtSight : .refused
        }
    }

    private static func readNPY(_ bytes: [UInt8]) -> Depth {
        do {
            _ = try NPYFile(bytes: Data(bytes), path: "x.npy")
            return .read
        } catch {
            let isSeen = ["not an .npy", "is not known", "its header is"].contains {
                error.message.contains($0)
            }
            return isSeen ? .refusedAtSight : .refused
        }
    }

    private static func readDataset(_ bytes: [UInt8]) -> Depth {
        do {
            _ = try DatasetDescription(json: Data(bytes), path: "dataset.json")
            return .read
        } catch {
            let isSeen = ["is not UTF-8", "is not JSON"].contains { error.message.contains($0) }
            return isSeen ? .refusedAtSight : .refused
        }
    }

    /// As `plot --csv` reads a table and draws it, but for gnuplot.
    private static func readCSV(_ bytes: [UInt8]) -> Depth {
        let data = Data(bytes)
        let path = "x.csv"
        let columns = [TradeoffPoint.requiredColumns, ThroughputPlot.requiredColumns]
        var depth = Depth.refusedAtSight
        for (index, columns) in columns.enumerated() {
            guard let records = try? CSVRecords(data, path: path, requiring: columns) else { continue }
            do {
                let script =
                    index == 0
                    ? try TradeoffPlot(records, suite: nil).script()
                    : try ThroughputPlot(records, batch: 16, remedy: "").script()
                _ = try script.text(.svg)
                return .read
            } catch { depth = .refused }
        }
        return depth
    }
}
