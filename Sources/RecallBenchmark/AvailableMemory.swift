import Foundation

/// The memory that a process could get without swapping.
package enum AvailableMemory {
    /// What the machine has left, or less where a control group of this process has less.
    package static var bytes: Int { min(machine, ControlGroups().availableBytes ?? .max) }

    /// As the system estimates it, or all that is built in where it says nothing.
    private static var machine: Int {
        let text = (try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8)) ?? ""
        return bytes(ofMemoryInformation: text) ?? Int(clamping: ProcessInfo.processInfo.physicalMemory)
    }

    /// `MemAvailable` of /proc/meminfo.
    package static func bytes(ofMemoryInformation text: String) -> Int? {
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("MemAvailable:") }) else {
            return nil
        }
        let words = line.split(separator: " ")
        return words.count == 3 && words[2] == "kB" ? Int(words[1]).map { $0 * 1024 } : nil
    }
}
