import Foundation
import GRDB
import RecallSuite

/// Why a database could not be used: one line that names the file, what is wrong and what to do.
public struct StoreError: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Kind: Equatable, Sendable, CaseIterable {
        case isDirectory, notADatabase, foreign, newer, older, corrupted
        /// No table is in it: it is empty, or a copy without its log.
        case empty
        /// The name of a suite of another file.
        case otherSuite
        case missing
        case unwritable, diskFull, busy, leaseLost
        /// Its path names nothing, or another file, since it was opened.
        case displaced
        case unexpected
    }

    public let kind: Kind
    /// The file as the user named it.
    public let path: String
    /// What is wrong and what to do, without the path.
    public let message: String

    package init(_ kind: Kind, path: String, _ message: String) {
        (self.kind, self.path, self.message) = (kind, path, message)
    }

    public var description: String { "\(path): \(message)" }

    /// The status that the process ends with (sysexits.h): 65 the file is wrong, 66 it is missing, 74 input or output
    /// failed, 70 an error of the program's own.
    public var exitStatus: Int32 {
        switch kind {
        case .isDirectory, .notADatabase, .foreign, .newer, .older, .corrupted, .empty, .otherSuite: 65
        case .missing: 66
        case .unwritable, .diskFull, .busy, .leaseLost, .displaced: 74
        case .unexpected: 70
        }
    }
}

extension StoreError {
    static func isDirectory(_ path: String) -> StoreError {
        StoreError(.isDirectory, path: path, "is a directory; name a file, such as results/recall.sqlite")
    }

    static func notADatabase(_ path: String) -> StoreError {
        StoreError(
            .notADatabase,
            path: path,
            "is not an SQLite database; name another file, or move this one away"
        )
    }

    static func foreign(_ path: String) -> StoreError {
        StoreError(.foreign, path: path, "is a database of another program; name another file")
    }

    static func newer(_ path: String) -> StoreError {
        StoreError(
            .newer,
            path: path,
            "was written by a newer version of recall-bench; update the program or name another file"
        )
    }

    static func older(_ path: String) -> StoreError {
        StoreError(
            .older,
            path: path,
            "was written by an older version of recall-bench; a command that writes to it, such as run, updates it"
        )
    }

    static func empty(_ path: String, file: String) -> StoreError {
        let what =
            if DatabaseFile.bytes(file) ?? 0 == 0 {
                "is empty; `\(ShellCommand("run", "--suite", "quick").on(database: path))` fills it"
            } else if DatabaseFile.bytes(file + "-wal") ?? 0 > 0 {
                "holds no table yet: another process is making it, or was cut short; try again, or make it whole with "
                    + "`\(ShellCommand("run", "--suite", "quick").on(database: path))`"
            } else {
                "holds no table: it was copied while the database was open, without its -wal file, which has the rows; "
                    + "copy the -wal file with it, or make a whole copy; `recall-bench export sqlite --help` says how"
            }
        return StoreError(.empty, path: path, what)
    }

    static func unreadableLog(_ path: String, file: String) -> StoreError {
        StoreError(
            .unwritable,
            path: path,
            "its newest rows are in \(file)-wal, which cannot be read without \(file)-shm, and the folder takes no file; "
                + "copy the file with its -wal to a folder that you may write to, and read it there"
        )
    }

    static func otherSuite(_ path: String, name: String, former: String?, current: String?) -> StoreError {
        StoreError(
            .otherSuite,
            path: path,
            "the suite '\(name)' in it is that of \(former ?? "this program"), not of \(current ?? "this program"); give the "
                + "suite another `name:`, or let it take the place of that one with --replace-suite"
        )
    }

    static func missing(_ path: String) -> StoreError {
        let command = ShellCommand("run", "--suite", "quick").on(database: path)
        return StoreError(.missing, path: path, "there is no such file; `\(command)` makes it")
    }

    static func corrupted(_ path: String, _ detail: String) -> StoreError {
        StoreError(
            .corrupted,
            path: path,
            "is damaged (\(detail)); restore a copy, or save what can be read with "
                + "`sqlite3 \(ShellCommand.quoted(path)) .recover`"
        )
    }

    /// - Parameter findings: of SQLite's own check; one may have several lines.
    static func corrupted(_ path: String, findings: [String]) -> StoreError {
        corrupted(path, findings.joined(separator: " ").replacingOccurrences(of: "\n", with: " "))
    }

    static func folderHeld(_ path: String, _ folder: String, by holder: String?, for seconds: Double)
        -> StoreError
    {
        StoreError(
            .busy,
            path: path,
            "\(holder ?? "another process") has held a lock on the folder \(folder) for "
                + "\(String(format: "%g", seconds)) seconds; end it, try again later, or name a file in another folder"
        )
    }

    /// A row that is not as the program writes rows.
    init(_ damage: RowDamage, path: String) {
        let table = damage.table == "state_items" ? "state" : damage.table
        let command = ShellCommand(
            "export",
            "csv",
            "--table",
            Self.exported.contains(table) ? table : "runs",
            "--skip-damaged"
        ).on(database: path)
        self.init(
            .corrupted,
            path: path,
            "is damaged (\(damage.description)); restore a copy, or write the other rows with `\(command)`"
        )
    }

    private static let exported = Set(CSVExport.StoredTable.allCases.map(\.rawValue))

    static func leaseLost(_ path: String, runID: String) -> StoreError {
        StoreError(
            .leaseLost,
            path: path,
            "run \(runID) is no longer this process's: it gave no sign of life for 60 seconds and another took it"
        )
    }

    /// What went wrong inside SQLite, in the words of whoever has to mend it.
    init(_ error: any Error, path: String) {
        switch error {
        case let error as DatabaseError: self.init(error, path: path)
        case let error as StoreError: self = error
        case let damage as RowDamage: self.init(damage, path: path)
        // Of a query for one column; its own words have the whole query.
        case is RowDecodingError: self = .corrupted(path, "a column holds what does not belong there")
        default: self.init(.unexpected, path: path, "\(error)")
        }
    }

    private init(_ error: DatabaseError, path: String) {
        let detail = error.message ?? "\(error.extendedResultCode)"
        switch error.resultCode {
        case .SQLITE_FULL:
            self.init(
                .diskFull,
                path: path,
                "the disk is full; what was finished is kept: free some space and run again"
            )
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            let seconds = String(format: "%g", Store.busyTimeout)
            self.init(
                .busy,
                path: path,
                "another process has kept the database locked for \(seconds) seconds; end it, or try again later"
            )
        case .SQLITE_NOTADB: self = .notADatabase(path)
        // The program keeps the schema's rules, so that a rule that fails is broken in the file.
        case .SQLITE_CORRUPT, .SQLITE_CONSTRAINT, .SQLITE_MISMATCH, .SQLITE_TOOBIG, .SQLITE_FORMAT:
            self = .corrupted(path, detail)
        // The program names what its migrations made.
        case .SQLITE_ERROR where Self.isMissing(detail): self = .corrupted(path, detail)
        case .SQLITE_CANTOPEN, .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_IOERR, .SQLITE_AUTH, .SQLITE_NOLFS:
            self.init(
                .unwritable,
                path: path,
                "cannot be read or written (\(detail)); check the permissions and the disk, or name another file"
            )
        default: self.init(.unexpected, path: path, "an SQLite error (\(error.extendedResultCode)): \(detail)")
        }
    }
    /// Whether an error of SQLite's is of a table or column that is not there.
    private static func isMissing(_ detail: String) -> Bool {
        detail.hasPrefix("no such ") || detail.contains(" has no column named ")
    }
}
