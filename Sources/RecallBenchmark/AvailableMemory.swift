import Foundation

/// The memory that a process could get without swapping.
package enum AvailableMemory {
    /// What the machine has left, or less where a control group of this process has less.
    package static var bytes: Int { min(machine, ControlGroupMemory().availableBytes ?? .max) }

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

/// What Linux's control groups leave to a process: a container, or a job of a cluster, may have less than its machine.
package struct ControlGroupMemory {
    /// Where the groups are mounted.
    private let mount: String
    /// The process's groups, a line "number:controllers:path" each.
    private let groups: String

    package init() {
        self.init(
            mount: "/sys/fs/cgroup",
            groups: (try? String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8)) ?? "")
    }

    package init(mount: String, groups: String) { (self.mount, self.groups) = (mount, groups) }

    /// The least that any group of the process has left; nil where none has a limit.
    package var availableBytes: Int? {
        groups.split(separator: "\n").flatMap { line -> [Int?] in
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { return [] }
            if fields[1].isEmpty {
                return folders("", fields[2]).map {
                    left($0, limit: "memory.max", usage: "memory.current", cache: "inactive_file")
                }
            }
            guard fields[1].split(separator: ",").contains("memory") else { return [] }
            return folders("/memory", fields[2]).map {
                left(
                    $0, limit: "memory.limit_in_bytes", usage: "memory.usage_in_bytes",
                    cache: "total_inactive_file")
            }
        }.compactMap { $0 }.min()
    }

    /// A group's folder and all above it, whose limits bind it too. Inside a container the mount is often the group itself,
    /// while the path is still the host's: then only the mount is there.
    private func folders(_ hierarchy: String, _ path: Substring) -> [String] {
        path.split(separator: "/").reduce(into: [mount + hierarchy]) { $0.append($0[$0.count - 1] + "/" + $1) }
    }

    /// The limit less what is used; the page cache's idle part would be given up first, so it is not in use.
    private func left(_ folder: String, limit: String, usage: String, cache: String) -> Int? {
        // "max" is no number: no limit.
        guard let limit = text("\(folder)/\(limit)").flatMap({ Int($0) }),
            let usage = text("\(folder)/\(usage)").flatMap({ Int($0) })
        else { return nil }
        let idle = text("\(folder)/memory.stat")?.split(separator: "\n").first { $0.hasPrefix("\(cache) ") }
            .flatMap { Int($0.dropFirst(cache.count + 1)) }
        return max(0, limit - max(0, usage - (idle ?? 0)))
    }

    private func text(_ path: String) -> String? {
        (try? String(contentsOfFile: path, encoding: .utf8))?.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
