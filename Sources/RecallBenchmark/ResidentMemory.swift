import Foundation

/// What of this process's own memory is in RAM.
enum ResidentMemory {
    /// Bytes that the process wrote and that have not been given back: heap, stacks and mapped memory, but no pages of files.
    /// Counted page by page, where the system does that (Linux 4.14 and newer); nil elsewhere.
    static func bytes() -> Int? {
        guard let text = try? String(contentsOfFile: "/proc/self/smaps_rollup", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("Anonymous:") }),
            let kibibytes = Int(line.split(separator: " ").dropFirst().first ?? "")
        else { return nil }
        return kibibytes << 10
    }
}
