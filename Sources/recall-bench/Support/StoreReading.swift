import RecallStore
import RecallSuite

extension StoreOptions {
    /// The store for a command that only looks.
    ///
    /// - Throws: `StoreError`: missing (66), no database of ours (65).
    func openForReading() throws(StoreError) -> Store { try Store(path: path, mode: .readOnly) }
}

extension Store {
    /// The store at a path, for a look; nil where there is no file.
    ///
    /// - Throws: `StoreError` for what is no database of ours.
    static func ifThere(_ path: String) throws(StoreError) -> Store? {
        do {
            return try Store(path: path, mode: .readOnly)
        } catch {
            guard error.kind == .missing else { throw error }
            return nil
        }
    }

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
                nearest(name, in: all).map { "did you mean '\($0)'?" }
                ?? (all.isEmpty ? "it is empty" : "there are \(all.joined(separator: ", "))")
            throw Failure(.missing, "\(path): no run of a suite '\(name)' is in this database; \(hint)")
        }
    }
}
