import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A process, told apart from every other that ever had its number: who holds a run.
public struct ProcessIdentity: Hashable, Sendable {
    /// The host's name, to show.
    public var host: String
    /// Where `pid` means something: this boot of the kernel and this namespace of process ids (containers may share a
    /// host name, and hosts a file system). Empty where the system does not tell.
    public var machine: String
    public var pid: Int32
    /// When the process started, in clock ticks since boot (field 22 of /proc/PID/stat).
    public var startTime: Int64

    public init(host: String, machine: String, pid: Int32, startTime: Int64) {
        (self.host, self.machine, self.pid, self.startTime) = (host, machine, pid, startTime)
    }

    /// The identity of this process.
    public static let current = ProcessIdentity(
        host: hostName(), machine: machineName(), pid: getpid(), startTime: processStart(getpid()) ?? 0)

    /// Whether the process has ended; nil where that cannot be known from here.
    ///
    /// - Parameter observer: who asks.
    public func isGone(seenBy observer: ProcessIdentity) -> Bool? {
        guard !machine.isEmpty, machine == observer.machine else { return nil }
        return Self.processStart(pid) != startTime
    }

    /// Field 22 of /proc/PID/stat; nil when there is no such process, or only its remains (a zombie).
    package static func processStart(_ pid: Int32) -> Int64? {
        guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .isoLatin1),
            // The second field is the command in parentheses, which may itself hold spaces and parentheses.
            let end = stat.lastIndex(of: ")")
        else { return nil }
        let fields = stat[stat.index(after: end)...].split(whereSeparator: \.isWhitespace)
        guard fields.count > 19, fields[0] != "Z", fields[0] != "X" else { return nil }
        return Int64(fields[19])
    }

    private static func hostName() -> String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "unknown" }
        return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    private static func machineName() -> String {
        guard let boot = try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8),
            let namespace = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/pid")
        else { return "" }
        return boot.trimmingCharacters(in: .whitespacesAndNewlines) + " " + namespace
    }
}

/// A process's hold on a run.
public struct Lease: Hashable, Sendable {
    public var holder: ProcessIdentity
    public var heartbeat: Date

    public init(holder: ProcessIdentity, heartbeat: Date) {
        (self.holder, self.heartbeat) = (holder, heartbeat)
    }

    /// How long a process that cannot be looked at may be silent.
    public static let patience: TimeInterval = 60

    /// Whether the run may be taken: at once when its process is known to be gone; after 60 seconds without a heartbeat
    /// when it cannot be looked at; never from a process that is known to live.
    public func isStale(at now: Date, seenBy observer: ProcessIdentity) -> Bool {
        holder.isGone(seenBy: observer) ?? (now.timeIntervalSince(heartbeat) > Self.patience)
    }
}
