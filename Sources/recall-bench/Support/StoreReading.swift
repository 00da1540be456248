import Foundation
import RecallStore
import RecallSuite

extension StoreOptions {
    /// The store for a command that only looks.
    ///
    /// - Parameter damagedRows: told of rows that cannot be read, which are left out then; nil to end with the first.
    /// - Throws: `StoreError`: missing (66), no database of ours (65).
    func openForReading(leavingOut damagedRows: DamagedRows? = nil) throws(StoreError) -> Store {
        try Store(path: path, mode: .readOnly, leavingOut: damagedRows)
    }

    /// The store once a suite has been begun in it; nil before, where there may be no file yet.
    ///
    /// - Throws: `StoreError` for what is no database of ours.
    func openIfBegun() throws(StoreError) -> Store? {
        guard let store = try Store.ifThere(path) else { return nil }
        guard try store.suites().isEmpty else { return store }
        try store.close()
        return nil
    }

    /// The store as soon as a suite has been begun in it.
    ///
    /// - Throws: `Failure` of status 130 at Ctrl-C; `StoreError` for what is no database of ours.
    func openWhenBegun() throws -> Store {
        if let store = try openIfBegun() { return store }
        let command = ShellCommand("run").option("--suite", "quick").on(database: path)
        let interrupts = Interrupts()
        Output.note("waiting for the first run in \(path), which `\(command)` begins; Ctrl-C ends it")
        while true {
            if let store = try openIfBegun() { return store }
            for _ in 0..<10 {
                if interrupts.stop.isRaised { throw Failure(.interrupted, nil) }
                usleep(50_000)
            }
        }
    }
}

extension Store {
    /// The suites of these names, in the order given; all that there are where no name is given.
    ///
    /// - Throws: `Failure` of status 66 for a name that the store does not have.
    func suites(named names: [String]) throws -> [SuiteRecord] {
        let known = try suites()
        if names.isEmpty { return known }
        return try names.map { name in
            if let suite = known.first(where: { $0.name == name }) { return suite }
            let all = known.map(\.name)
            let hint =
                nearest(name, in: all).map { "did you mean \(ShellCommand.inQuotes($0))?" }
                ?? (all.isEmpty ? "it is empty" : "there are \(all.joined(separator: ", "))")
            throw Failure(.missing, "\(path): no run of a suite '\(name)' is in this database; \(hint)")
        }
    }
}
