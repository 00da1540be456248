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
        host: hostName(),
        machine: machineName(),
        pid: getpid(),
        startTime: processStart(getpid()) ?? 0
    )

    /// Whether the process has ended; nil where that cannot be known from here.
    ///
    /// - Parameter observer: who asks.
    public func isGone(seenBy observer: ProcessIdentity) -> Bool? {
        if self == observer { return false }
        guard !machine.isEmpty, machine == observer.machine else { return nil }
        switch Self.look(at: pid) {
        case .running(let start): return start != startTime
        case .gone: return true
        case .unknown: return nil
        }
    }

    /// What the system tells of a process.
    private enum Sighting {
        case running(startTime: Int64)
        /// There is no such process, or only its remains (a zombie).
        case gone
        /// It did not tell: no file handles are left, say.
        case unknown
    }

    /// Reads the state and field 22 of /proc/PID/stat.
    private static func look(at pid: Int32) -> Sighting {
        let file = open("/proc/\(pid)/stat", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return errno == ENOENT || errno == ESRCH ? .gone : .unknown }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 1024)
        let count = read(file, &bytes, bytes.count)
        guard count > 0 else { return count < 0 && errno == ESRCH ? .gone : .unknown }
        let stat = String(decoding: bytes[..<count], as: UTF8.self)
        // The second field is the command in parentheses, which may itself hold spaces and parentheses.
        guard let end = stat.lastIndex(of: ")") else { return .unknown }
        let fields = stat[stat.index(after: end)...].split(whereSeparator: \.isWhitespace)
        guard fields.count > 19, let start = Int64(fields[19]) else { return .unknown }
        return fields[0] == "Z" || fields[0] == "X" ? .gone : .running(startTime: start)
    }

    /// When a process started, in clock ticks since boot; nil when it is gone or cannot be looked at.
    package static func processStart(_ pid: Int32) -> Int64? {
        if case .running(let startTime) = look(at: pid) { startTime } else { nil }
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
