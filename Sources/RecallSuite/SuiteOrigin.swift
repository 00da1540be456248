import Foundation

extension SuiteLibrary {
    /// A suite by name or path, as `load` reads it, with where it is from: a database keeps that beside the suite's name.
    ///
    /// - Throws: what `load` throws; `SuiteError` for a file that gives other runs the name of a built-in suite, whose rows
    ///   they would take.
    public func loadToTrain(_ nameOrPath: String) throws -> Suite {
        let (text, file) = try text(of: nameOrPath)
        var suite = try Suite(yaml: text, file: file)
        guard let builtIn = Self.embedded[suite.name] else {
            suite.path = Self.resolved(file)
            return suite
        }
        let isSame =
            try text == builtIn || suite.contentHash() == Suite(yaml: builtIn, file: file).contentHash()
        guard isSame else {
            throw SuiteError(
                file: file,
                place: Self.placeOfName(in: text),
                key: "name",
                message: "\(quoted(suite.name)) is a built-in suite, and this file has other runs; "
                    + "give it another name, such as \(quoted("my-\(suite.name)"))"
            )
        }
        return suite
    }

    private static func placeOfName(in text: String) -> Place {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        return Place(line: (lines.firstIndex { $0.hasPrefix("name") } ?? 0) + 1, column: 1)
    }

    /// The absolute path of a file that is there, with links followed.
    private static func resolved(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}
