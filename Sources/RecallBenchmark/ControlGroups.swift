import Foundation

/// Linux's control groups of a process: a container, or a job of a cluster, may have less than its machine.
package struct ControlGroups {
    /// Where the groups are mounted.
    private let mount: String
    /// The process's groups, one line "number:controllers:path" per hierarchy.
    private let groups: String

    /// Those of this process.
    package init() {
        self.init(
            mount: "/sys/fs/cgroup",
            groups: (try? String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8)) ?? ""
        )
    }

    package init(mount: String, groups: String) { (self.mount, self.groups) = (mount, groups) }

    /// A folder with a group's files.
    struct Folder {
        let path: String
        /// Whether the group is of version 2, where one hierarchy has all controllers.
        let isUnified: Bool

        /// The words of one of its files; nil where there is no such file.
        func words(_ file: String) -> [Substring]? {
            text(file)?.split(whereSeparator: \.isWhitespace)
        }

        /// The text of one of its files.
        func text(_ file: String) -> String? { try? String(contentsOfFile: "\(path)/\(file)", encoding: .utf8) }
    }

    /// The process's group and all above it, whose limits bind it too, in every hierarchy that has a controller.
    func folders(of controller: String) -> [Folder] {
        groups.split(separator: "\n").flatMap { line -> [Folder] in
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { return [] }
            if fields[1].isEmpty { return folders("", fields[2], isUnified: true) }
            guard fields[1].split(separator: ",").contains(Substring(controller)) else { return [] }
            // Mounted by the names of all its controllers, as "cpu,cpuacct", with a link for each.
            return folders("/\(controller)", fields[2], isUnified: false)
        }
    }

    /// Inside a container the mount is often the group itself, while the path is still the host's: then only the mount is
    /// there.
    private func folders(_ hierarchy: String, _ path: Substring, isUnified: Bool) -> [Folder] {
        path.split(separator: "/").reduce(into: [mount + hierarchy]) { $0.append($0[$0.count - 1] + "/" + $1) }
            .map { Folder(path: $0, isUnified: isUnified) }
    }

    /// The least memory in bytes that any group of the process has left; nil where none has a limit.
    package var availableBytes: Int? {
        folders(of: "memory").compactMap {
            $0.isUnified
                ? left($0, limit: "memory.max", usage: "memory.current", cache: "inactive_file")
                : left(
                    $0,
                    limit: "memory.limit_in_bytes",
                    usage: "memory.usage_in_bytes",
                    cache: "total_inactive_file"
                )
        }.min()
    }

    /// The limit less what is used; the page cache's idle part would be given up first, so it is not in use.
    private func left(_ folder: Folder, limit: String, usage: String, cache: String) -> Int? {
        // "max" is no number: no limit.
        guard let limit = folder.words(limit)?.first.flatMap({ Int($0) }),
            let usage = folder.words(usage)?.first.flatMap({ Int($0) })
        else { return nil }
        let idle = folder.text("memory.stat")?.split(separator: "\n").first { $0.hasPrefix("\(cache) ") }
            .flatMap { Int($0.dropFirst(cache.count + 1)) }
        return max(0, limit - max(0, usage - (idle ?? 0)))
    }

    /// The least processor time that any group of the process may use, in cores; nil where none has a quota.
    package var coreQuota: Double? {
        folders(of: "cpu").compactMap { folder -> Double? in
            let numbers: [Int?]
            if folder.isUnified {
                // "max 100000" without a quota, "150000 100000" for one and a half cores.
                numbers = (folder.words("cpu.max") ?? []).map { Int($0) }
            } else {
                numbers = ["cpu.cfs_quota_us", "cpu.cfs_period_us"].map { file in
                    folder.words(file)?.first.flatMap { Int($0) }
                }
            }
            guard numbers.count == 2, let quota = numbers[0], let period = numbers[1], quota > 0, period > 0
            else { return nil }
            return Double(quota) / Double(period)
        }.min()
    }
}
