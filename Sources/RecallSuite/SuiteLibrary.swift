import Foundation
import RecallInput

/// A suite that could not be read at all.
public struct SuiteLookupError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Kind: Hashable, Sendable {
        /// Nothing of that name: exit status 66.
        case missing
        /// There, but no file: exit status 65.
        case isFolder
        /// There, but a named pipe or a device: exit status 65.
        case notRegular
        /// There, but it cannot be read: exit status 74.
        case unreadable
    }
    public let kind: Kind
    public let message: String

    public var description: String { oneLine(message) }
}

extension SuiteLookupError {
    init(_ error: InputFileError) {
        let kind: Kind =
            switch error.kind {
            case .missing: .missing
            case .isFolder: .isFolder
            case .notRegular, .tooLarge, .cutShort: .notRegular
            case .unreadable: .unreadable
            }
        self.init(kind: kind, message: error.description)
    }
}

/// Where suites are found: a folder, then the copies in the binary.
public struct SuiteLibrary: Sendable {
    /// A suite that `list()` found.
    public struct Listing: Hashable, Sendable {
        /// What `--suite` takes.
        public let name: String
        /// The file, or nil for the copy in the binary.
        public let path: String?
    }

    /// The copies of Suites/ in the binary, by name. A test holds them equal to the files.
    public static var embedded: [String: String] {
        embeddedBytes.mapValues { String(decoding: $0, as: UTF8.self) }
    }

    private static var embeddedBytes: [String: [UInt8]] {
        [
            "quick": PackageResources.quick_yaml,
            "mqar-small": PackageResources.mqar_small_yaml,
            "based-figure2": PackageResources.based_figure2_yaml,
            "zoology-figure2": PackageResources.zoology_figure2_yaml,
            "learning-speed": PackageResources.learning_speed_yaml,
            "data-regime": PackageResources.data_regime_yaml,
        ]
    }

    /// The folder looked in first.
    public let directory: String

    public init(directory: String = "Suites") {
        self.directory = directory
    }

    /// Every suite, by name; a file hides the copy in the binary of the same name.
    public func list() -> [Listing] {
        let files = ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? [])
            .filter { $0.hasSuffix(".yaml") && !$0.hasPrefix(".") }
        var listings: [String: Listing] = [:]
        for name in Self.embeddedBytes.keys { listings[name] = Listing(name: name, path: nil) }
        for file in files {
            let name = String(file.dropLast(".yaml".count))
            listings[name] = Listing(name: name, path: "\(directory)/\(file)")
        }
        return listings.values.sorted { $0.name < $1.name }
    }

    /// A suite by name or path.
    ///
    /// - Parameter nameOrPath: with a '/' or ending in .yaml or .yml a path, else a name.
    /// - Throws: `SuiteLookupError` where there is none, `SuiteError` for one that is wrong.
    public func load(_ nameOrPath: String) throws -> Suite {
        let (text, file) = try text(of: nameOrPath)
        return try Suite(yaml: text, file: file)
    }

    /// A suite's text, and what to call it in errors.
    ///
    /// - Throws: `SuiteLookupError`, or `SuiteError` for a file that is no text or larger than a suite may be.
    public func text(of nameOrPath: String) throws -> (text: String, file: String) {
        if nameOrPath.contains("/") || nameOrPath.hasSuffix(".yaml") || nameOrPath.hasSuffix(".yml") {
            guard try isThere(nameOrPath) else {
                throw SuiteLookupError(
                    kind: .missing,
                    message: "\(nameOrPath): no such file" + hint(for: nameOrPath)
                )
            }
            return (try read(nameOrPath), nameOrPath)
        }
        let path = "\(directory)/\(nameOrPath).yaml"
        if !nameOrPath.isEmpty, try isThere(path) { return (try read(path), path) }
        if let text = Self.embedded[nameOrPath] { return (text, "\(nameOrPath).yaml (built in)") }
        let names = list().map(\.name)
        let near =
            nearest(nameOrPath, in: names).map { "; did you mean \(ShellCommand.inQuotes($0))?" } ?? ""
        throw SuiteLookupError(
            kind: .missing,
            message: "there is no suite \(quoted(nameOrPath)), neither \(path) nor built in"
                + (near.isEmpty ? "; there are \(listed(names))" : near)
        )
    }

    /// Whether a path leads anywhere.
    ///
    /// - Throws: `SuiteLookupError` where the system does not say, because a folder on the way is closed, say.
    private func isThere(_ path: String) throws -> Bool {
        var status = stat()
        if stat(path, &status) == 0 { return true }
        let code = errno
        guard code != ENOENT, code != ENOTDIR else { return false }
        throw SuiteLookupError(
            kind: .unreadable,
            message: "\(path): cannot be looked at: \(String(cString: strerror(code)))"
        )
    }

    /// For a path that leads nowhere: the suite whose name the file has or nearly has.
    private func hint(for path: String) -> String {
        let file = path.split(separator: "/").last.map(String.init) ?? ""
        let name = file.split(separator: ".").first.map(String.init) ?? file
        return nearest(name, in: list().map(\.name)).map {
            "; did you mean the suite \(ShellCommand.inQuotes($0))?"
        } ?? ""
    }

    private func read(_ path: String) throws -> String {
        // One byte beyond the limit is enough to refuse, whatever the file is.
        let data: Data
        do { data = try InputFile(path: path).beginning(upTo: YAMLText.maximumBytes + 1) } catch {
            throw SuiteLookupError(error)
        }
        if data.count > YAMLText.maximumBytes { throw YAMLText(file: path).tooLarge() }
        return try Self.decode(data, file: path)
    }

    /// UTF-8, or an error at the first byte that is not.
    static func decode(_ data: Data, file: String) throws(SuiteError) -> String {
        if let text = String(validating: data, as: UTF8.self) { return text }
        var place = Place.start
        var iterator = data.makeIterator()
        var decoder = UTF8()
        while case .scalarValue(let scalar) = decoder.decode(&iterator) {
            place =
                scalar == "\n"
                ? Place(line: place.line + 1, column: 1) : Place(line: place.line, column: place.column + 1)
        }
        throw SuiteError(file: file, place: place, message: "not UTF-8 text; save the file as UTF-8")
    }
}
