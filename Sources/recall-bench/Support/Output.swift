import Foundation
import RecallReport
import RecallStore
import RecallSuite

/// Standard output, and what is said beside it on standard error.
enum Output {
    /// Columns to print to: the terminal's, or what fits a page where output is piped.
    static var width: Int {
        isatty(STDOUT_FILENO) == 1 ? max(60, Terminal.size(.standardOutput).columns) : 100
    }

    /// Writes text. A reader that went away (`| head`) ends the program quietly, as any filter would; a full disk ends it
    /// with the status of an input or output error.
    static func write(_ text: String) { write(bytes: text.utf8) }

    /// The same of bytes.
    static func write(bytes: some Sequence<UInt8>) {
        var rest = Array(bytes)[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { Foundation.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if written >= 0 {
                rest = rest.dropFirst(written)
            } else if errno == EPIPE {
                ProcessEnd.end(0)
            } else if errno != EINTR {
                let why = String(cString: strerror(errno))
                Failure.exit(with: Failure(.inputOutput, "standard output cannot be written (\(why))"))
            }
        }
    }

    /// Writes lines, each with its newline; names of files and suites are in some.
    static func write(_ lines: [String]) {
        write(lines.map { oneLine($0) + "\n" }.joined())
    }

    /// Says something on standard error; one that is closed is no reason to stop.
    static func note(_ text: String) {
        StandardError.write(line: text)
    }
}

/// A file that is there whole or not at all: written beside and renamed. What is no ordinary file, /dev/null or a named
/// pipe, is written as it is.
enum OutputFile {
    /// - Throws: `Failure` of status 74 for what cannot be written, or what `body` throws; then no file is left.
    static func write(to path: String, _ body: (_ sink: @escaping CSVWriter.Sink) throws -> Void) throws {
        try write(to: path) { (sink: @escaping (any Sequence<UInt8>) throws -> Void) in
            try body { try sink($0.utf8) }
        }
    }

    /// The same of bytes.
    static func write(to path: String, bytes: Data) throws {
        try write(to: path) { (sink: @escaping (any Sequence<UInt8>) throws -> Void) in try sink(bytes) }
    }

    private static func write(
        to path: String,
        _ body: (_ sink: @escaping (any Sequence<UInt8>) throws -> Void) throws -> Void
    ) throws {
        func failure(_ why: String) -> Failure {
            Failure(.inputOutput, "\(path): cannot be written (\(why)); name another file for --output")
        }
        func system() -> Failure { failure(String(cString: strerror(errno))) }
        var status = stat()
        let isThere = stat(path, &status) == 0
        if path.isEmpty { throw failure("no file is named") }
        if isThere, status.st_mode & S_IFMT == S_IFDIR { throw failure("it is a folder") }
        let isDevice = isThere && status.st_mode & S_IFMT != S_IFREG
        let target = isDevice ? path : "\(path).\(getpid()).partial"
        let file = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
        guard file >= 0 else { throw system() }
        var isWhole = false
        defer { if !isWhole, !isDevice { unlink(target) } }
        do {
            defer { close(file) }
            try body { bytes in
                var rest = Array(bytes)[...]
                while !rest.isEmpty {
                    let written = rest.withUnsafeBytes { Foundation.write(file, $0.baseAddress, $0.count) }
                    if written >= 0 {
                        rest = rest.dropFirst(written)
                    } else if errno != EINTR {
                        throw system()
                    }
                }
            }
            if !isDevice, fsync(file) != 0 { throw system() }
        }
        if !isDevice, rename(target, path) != 0 { throw system() }
        isWhole = true
    }
}
