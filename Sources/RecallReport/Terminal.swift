import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// What is at the other end of a file descriptor.
public enum Terminal {
    /// Whether bars can be drawn there.
    public static func drawsBars(_ file: FileHandle) -> Bool {
        isatty(file.fileDescriptor) == 1 && ProcessInfo.processInfo.environment["TERM"] != "dumb"
    }

    /// Columns and rows; 80 by 24 where nobody says.
    public static func size(_ file: FileHandle) -> (columns: Int, rows: Int) {
        var size = winsize()
        guard ioctl(file.fileDescriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return (80, 24)
        }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Whether the locale allows more than ASCII; an unset one does, for containers rarely set it.
    public static func speaksUnicode(_ environment: [String: String] = ProcessInfo.processInfo.environment)
        -> Bool
    {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].lazy.compactMap { environment[$0] }.first { !$0.isEmpty }
        guard let locale = locale?.lowercased() else { return true }
        return locale.contains("utf-8") || locale.contains("utf8")
    }
}
