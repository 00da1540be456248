import Foundation
import RecallBenchmark
import Testing

/// The cores that affinity and quota leave.
@Suite struct AvailableCoresTests {
    @Test(arguments: [
        ("Cpus_allowed_list:\t0-3,8\n", 5), ("Name:\tx\nCpus_allowed_list:\t7\nMems_allowed:\t1\n", 1),
        ("Cpus_allowed_list:\t0-127,256-383\n", 256), ("Cpus_allowed:\tff\n", nil), ("", nil),
        ("Cpus_allowed_list:\t\n", nil), ("Cpus_allowed_list:\t3-1\n", nil), ("Cpus_allowed_list:\tx-2\n", nil),
        ("Cpus_allowed_list:\t1-2-3\n", nil),
    ]) func affinityIsCounted(status: String, count: Int?) {
        #expect(AvailableCores.affinity(ofStatus: status) == count)
    }

    private struct Limits: Sendable {
        let cores: AvailableCores
        let count: Int
        let text: String

        init(_ machine: Int, _ affinity: Int, _ quota: Double?, _ count: Int, _ text: String) {
            cores = AvailableCores(machine: machine, affinity: affinity, quota: quota)
            (self.count, self.text) = (count, text)
        }
    }

    private static let limits: [Limits] = [
        Limits(8, 8, nil, 8, "8 cores to use"),
        Limits(1, 1, nil, 1, "1 core to use"),
        Limits(2, 1, nil, 1, "1 of 2 cores to use (affinity)"),
        Limits(8, 8, 2.5, 2, "2 of 8 cores to use (a quota of 2.5)"),
        Limits(8, 4, 0.25, 1, "1 of 8 cores to use (affinity, a quota of 0.25)"),
        Limits(8, 4, 1e30, 4, "4 of 8 cores to use (affinity)"),
        Limits(4, 4, 4, 4, "4 cores to use"),
    ]

    @Test(arguments: limits) private func theLeastCounts(limits: Limits) {
        #expect(limits.cores.count == limits.count)
        #expect(limits.cores.description == limits.text)
    }

    /// Version 2 has "quota period" or "max period", version 1 a file for each and -1 without a quota.
    private struct Quota: Sendable {
        let groups: String
        let files: [String: String]
        let cores: Double?

        init(_ groups: String, _ files: [String: String], _ cores: Double?) {
            (self.groups, self.files, self.cores) = (groups, files, cores)
        }
    }

    private static let quotas: [Quota] = [
        Quota("0::/job/step", ["job/cpu.max": "150000 100000", "job/step/cpu.max": "max 100000"], 1.5),
        Quota("0::/job/step", ["job/cpu.max": "400000 100000", "job/step/cpu.max": "50000 100000"], 0.5),
        Quota("0::/job", ["job/cpu.max": "max 100000"], nil),
        Quota("0::/job", ["job/cpu.max": "many"], nil),
        Quota("0::/job", ["job/cpu.max": "-5 0"], nil),
        Quota("0::/", [:], nil),
        Quota("", ["cpu.max": "100000 100000"], nil),
        // In a container the path is the host's and the mount the group itself.
        Quota("0::/docker/abc", ["cpu.max": "200000 100000"], 2),
        Quota(
            "4:memory:/job\n3:cpu,cpuacct:/job",
            ["cpu/job/cpu.cfs_quota_us": "300000", "cpu/job/cpu.cfs_period_us": "100000"],
            3
        ),
        Quota("3:cpu:/job", ["cpu/job/cpu.cfs_quota_us": "-1", "cpu/job/cpu.cfs_period_us": "100000"], nil),
        Quota("3:cpu:/job", ["cpu/job/cpu.cfs_quota_us": "100000"], nil),
        Quota("3:cpuset:/job", ["cpu/job/cpu.cfs_quota_us": "1", "cpu/job/cpu.cfs_period_us": "1"], nil),
    ]

    @Test(arguments: quotas) private func quotasOfControlGroups(quota: Quota) throws {
        let mount = FileManager.default.temporaryDirectory.appendingPathComponent("cores-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: mount) }
        for (path, text) in quota.files {
            let file = mount.appendingPathComponent(path)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(),
                withIntermediateDirectories: true
            )
            try Data((text + "\n").utf8).write(to: file)
        }
        #expect(ControlGroups(mount: mount.path, groups: quota.groups).coreQuota == quota.cores)
    }

    @Test func thisProcessHasACore() {
        let cores = AvailableCores.current
        #expect(cores.count >= 1 && cores.count <= cores.machine)
    }
}
