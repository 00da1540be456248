import GRDB
import RecallData
import RecallTraining

/// What outcomes are told from, read for all runs of a suite at once.
extension Store {
    /// The runs that an outcome describes.
    private static let finishedRuns = """
        status = 'finished' AND (?1 IS NULL OR run_id IN (SELECT run_id FROM suite_runs WHERE suite = ?1))
        """

    /// The validation accuracy after each epoch, by run and epoch, of finished runs; those that were not finite are left
    /// out.
    func validationCurves(suite: String?, _ db: Database) throws -> [String: [Int: Double]] {
        var curves: [String: [Int: Double]] = [:]
        try forEachRow(
            of: "history",
            """
            SELECT run_id, epoch, h.validation_accuracy FROM history h JOIN runs r USING (run_id)
            WHERE h.validation_accuracy IS NOT NULL AND \(Self.finishedRuns)
            """,
            [suite],
            in: db
        ) { row in
            curves[try row.value("run_id"), default: [:]][try row.value("epoch")] =
                try row.value("validation_accuracy")
        }
        return curves
    }

    /// The slices of finished runs, each run's in its task's order: train, validation, test.
    func sliceAccuracies(suite: String?, _ db: Database) throws -> [String: [SliceAccuracy]] {
        var slices: [String: [SliceAccuracy]] = [:]
        try forEachRow(
            of: "slices",
            """
            SELECT s.* FROM slices s JOIN runs r USING (run_id) WHERE \(Self.finishedRuns)
            ORDER BY CASE split WHEN 'train' THEN 0 WHEN 'validation' THEN 1 ELSE 2 END, segment
            """,
            [suite],
            in: db
        ) { row in
            slices[try row.value("run_id"), default: []].append(try Self.sliceAccuracy(in: row))
        }
        return slices
    }

    /// A row of the table.
    static func sliceAccuracy(in row: TableRow) throws(RowDamage) -> SliceAccuracy {
        guard let split = Split(rawValue: try row.value("split")) else {
            throw row.damage("there is no such split")
        }
        return SliceAccuracy(
            split: split,
            sequenceLength: try row.value("sequence_length"),
            kvPairs: try row.value("kv_pairs"),
            examples: try row.value("examples"),
            accuracy: try row.optional("accuracy") ?? .nan
        )
    }
}
