import Foundation
import RecallKernels

/// The processor cores that this process may use: what the machine has, less what its affinity (a cpuset, `taskset`, a
/// cluster's job) and the quota of its control groups take away.
package struct AvailableCores: Equatable, Sendable {
    /// Cores of the machine that are switched on.
    package let machine: Int
    /// Those on which the system may run this process; a cpuset counts here too.
    package let affinity: Int
    /// Processor time that control groups grant, in cores; nil without a quota.
    package let quota: Double?

    package init(machine: Int, affinity: Int, quota: Double?) {
        (self.machine, self.affinity, self.quota) = (machine, affinity, quota)
    }

    /// Those of this process, as they are now.
    package static var current: AvailableCores {
        let machine = ProcessorCount.online
        return AvailableCores(
            machine: machine,
            affinity: affinityOfProcess ?? machine,
            quota: ControlGroups().coreQuota
        )
    }

    /// Whole cores to use, at least one: a part of a core is none, for two runs on one and a half would hold each other up.
    package var count: Int {
        let allowed = max(1, min(machine, affinity))
        return quota.map { max(1, min(allowed, Int(min($0, Double(allowed))))) } ?? allowed
    }

    /// "2 cores to use"; "1 of 2 cores to use (affinity)".
    package var description: String {
        let reasons =
            (affinity < machine ? ["affinity"] : [])
            + (quota.map { $0 < Double(min(machine, affinity)) } ?? false
                ? ["a quota of \(String(format: "%.4g", quota ?? 0))"] : [])
        if reasons.isEmpty { return "\(machine) core\(machine == 1 ? "" : "s") to use" }
        return "\(count) of \(machine) cores to use (\(reasons.joined(separator: ", ")))"
    }

    /// nil where the system does not say.
    private static var affinityOfProcess: Int? {
        (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)).flatMap(affinity(ofStatus:))
    }

    /// Processors of `Cpus_allowed_list` in /proc/self/status, such as "0-3,8"; nil where it has none.
    package static func affinity(ofStatus text: String) -> Int? {
        let key = "Cpus_allowed_list:"
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix(key) }) else { return nil }
        var count = 0
        for range in line.dropFirst(key.count).split(whereSeparator: { $0 == "," || $0.isWhitespace }) {
            let ends = range.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard ends.count <= 2, let first = ends.first ?? nil, let last = ends.last ?? nil, first <= last
            else { return nil }
            count += last - first + 1
        }
        return count > 0 ? count : nil
    }
}
