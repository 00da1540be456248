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
    static func validationCurves(suite: String?, _ db: Database) throws -> [String: [Int: Double]] {
        let rows = try Row.fetchCursor(
            db,
            sql: """
                SELECT run_id, epoch, h.validation_accuracy FROM history h JOIN runs r USING (run_id)
                WHERE h.validation_accuracy IS NOT NULL AND \(finishedRuns)
                """, arguments: [suite])
        var curves: [String: [Int: Double]] = [:]
        while let row = try rows.next() {
            let (runID, epoch): (String, Int) = (row[0], row[1])
            curves[runID, default: [:]][epoch] = row[2]
        }
        return curves
    }

    /// The slices of finished runs, each run's in its task's order: train, validation, test.
    static func sliceAccuracies(suite: String?, _ db: Database) throws -> [String: [SliceAccuracy]] {
        let rows = try Row.fetchCursor(
            db,
            sql: """
                SELECT s.* FROM slices s JOIN runs r USING (run_id) WHERE \(finishedRuns)
                ORDER BY CASE split WHEN 'train' THEN 0 WHEN 'validation' THEN 1 ELSE 2 END, segment
                """, arguments: [suite])
        var slices: [String: [SliceAccuracy]] = [:]
        while let row = try rows.next() {
            guard let slice = sliceAccuracy(in: row) else { continue }
            slices[row["run_id"], default: []].append(slice)
        }
        return slices
    }

    /// A row of the table; nil for a split that is not known.
    static func sliceAccuracy(in row: Row) -> SliceAccuracy? {
        Split(rawValue: row["split"]).map {
            SliceAccuracy(
                split: $0, sequenceLength: row["sequence_length"], kvPairs: row["kv_pairs"],
                examples: row["examples"], accuracy: row["accuracy"] ?? .nan)
        }
    }
}
